//! Lists, page by page: a page goes on where the last item of the one before stood, whatever came or went meanwhile.

use events::Timestamp;
use uuid::Uuid;

/// Where an item stands in a list: its time, and its id among those of the same time.
pub type Place = (Timestamp, Uuid);

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
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Where the next page goes on; `None` exactly at the end.
    pub next: Option<Place>,
}

impl<T> Listing<T> {
    /// The first items of `places`, which begin after `page.after`. Places without an item do not count.
    pub(crate) fn of(
        page: Page,
        places: impl Iterator<Item = Place>,
        mut item: impl FnMut(Place) -> Option<T>,
    ) -> Self {
        Self::of_items(page, places.filter_map(|place| item(place).map(|item| (place, item))))
    }

    /// The first of `items`, which begin after `page.after`.
    pub(crate) fn of_items(page: Page, items: impl Iterator<Item = (Place, T)>) -> Self {
        let limit = page.limit.max(1);
        let mut listing = Self { items: Vec::new(), next: None };
        let mut last = None;
        for (place, item) in items {
            if listing.items.len() == limit {
                listing.next = last;
                break;
            }
            listing.items.push(item);
            last = Some(place);
        }
        listing
    }
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None }
    }
}
