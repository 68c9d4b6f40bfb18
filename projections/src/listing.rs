//! Lists, page by page: a page goes on where the last item of the one before stood, whatever came or went meanwhile.

use events::Timestamp;
use uuid::Uuid;

/// Where an item stands in a list: its time, and its id among those of the same time.
pub type Place = (Timestamp, Uuid);

/// Places without an item that are passed over for one page: what is hidden from one reader may be most of a long list.
const PASSED_OVER_MAX: usize = 10_000;

/// Which part of a list is asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Page {
    /// How many items at most; 0 counts as 1.
    pub limit: usize,
    /// Only what comes after this place; `None` from the beginning.
    pub after: Option<Place>,
}

/// A page of a list.
#[derive(Clone, PartialEq, Debug)]
pub struct Listing<T> {
    /// The items, in the order of the list: as many as asked for, unless the list ends before or most of it is hidden.
    pub items: Vec<T>,
    /// Where the next page goes on; `None` exactly at the end.
    pub next: Option<Place>,
}

impl<T> Listing<T> {
    /// The first items of `places`, which begin after `page.after`. Places without an item do not count; after very many
    /// of them the page ends and the next one goes on behind them.
    pub(crate) fn of(
        page: Page,
        places: impl Iterator<Item = Place>,
        mut item: impl FnMut(Place) -> Option<T>,
    ) -> Self {
        Self::of_rows(page, places.map(|place| (place, item(place))))
    }

    /// The first of `items`, which begin after `page.after`.
    pub(crate) fn of_items(page: Page, items: impl Iterator<Item = (Place, T)>) -> Self {
        Self::of_rows(page, items.map(|(place, item)| (place, Some(item))))
    }

    fn of_rows(page: Page, rows: impl Iterator<Item = (Place, Option<T>)>) -> Self {
        let mut filling = Filling::of(page);
        for (place, item) in rows {
            if !filling.push(place, item) {
                break;
            }
        }
        filling.done()
    }
}

/// A page that is being filled from the places of a list, one after the other.
pub(crate) struct Filling<T> {
    limit: usize,
    listing: Listing<T>,
    last: Option<Place>,
    passed_over: usize,
}

impl<T> Filling<T> {
    pub(crate) fn of(page: Page) -> Self {
        Self { limit: page.limit.max(1), listing: Listing::default(), last: None, passed_over: 0 }
    }

    /// What stands at the next place, `None` if that is not shown. Returns whether there is more to ask for.
    pub(crate) fn push(&mut self, place: Place, item: Option<T>) -> bool {
        let Some(item) = item else {
            self.passed_over += 1;
            if self.passed_over == PASSED_OVER_MAX {
                self.listing.next = Some(place);
            }
            return self.passed_over < PASSED_OVER_MAX;
        };
        if self.listing.items.len() == self.limit {
            self.listing.next = self.last;
            return false;
        }
        self.listing.items.push(item);
        self.last = Some(place);
        true
    }

    pub(crate) fn done(self) -> Listing<T> {
        self.listing
    }
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(from: usize) -> impl Iterator<Item = Place> {
        (from..3 * PASSED_OVER_MAX).map(|n| (Timestamp(0), Uuid::from_u128(n as u128)))
    }

    #[test]
    fn a_page_ends_where_too_much_is_hidden_and_the_next_one_goes_on_there() {
        let (mut page, mut found, mut pages) = (Page { limit: 2, after: None }, Vec::new(), 0);
        loop {
            let from = page.after.map_or(0, |(_, id)| usize::try_from(id.as_u128()).unwrap() + 1);
            let is_last = |n: u128| n == 3 * PASSED_OVER_MAX as u128 - 1;
            let listing = Listing::of(page, places(from), |(_, id)| is_last(id.as_u128()).then_some(id));
            found.extend(listing.items);
            (page.after, pages) = (listing.next, pages + 1);
            if listing.next.is_none() {
                break;
            }
        }
        assert_eq!((found.len(), pages), (1, 3));
    }
}
