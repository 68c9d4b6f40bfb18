//! Reads a list page by page, checks each page's form, and compares what was read with the expected ids in their order.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use http::HeaderMap;
use http::header::LINK;
use serde_json::Value;

use crate::compare::{compare, excerpt};
use crate::findings::Findings;
use crate::session::Sessions;

/// The page size of a request without `limit`.
const LIMIT_DEFAULT: usize = 20;
/// A list that goes on for so many items does not end.
const ITEMS_MAX: usize = 10_000_000;

/// How a list is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) path: String,
    /// The field of the answer that holds the items, and the field of an item that identifies it.
    pub(crate) array: &'static str,
    pub(crate) key: &'static str,
    pub(crate) limit: Option<usize>,
    /// After so many pages reading stops, if the list has not ended.
    pub(crate) pages_max: Option<usize>,
    pub(crate) reader: Option<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) items: Vec<Value>,
    /// Whether the list goes on after the last page that was read.
    pub(crate) more: bool,
    /// A page could not be read, which is reported already; the items say nothing about the list.
    pub(crate) broken: bool,
}

/// How the ids that were read differ from those that were expected.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Positions in the expected list.
    pub(crate) missing: Vec<usize>,
    /// Positions in the list that was read.
    pub(crate) unexpected: Vec<usize>,
    pub(crate) doubled: Vec<usize>,
    /// The first position whose item is expected earlier than one that was read before it.
    pub(crate) out_of_order: Option<usize>,
}

impl Listing {
    pub(crate) async fn read(&self, sessions: &Sessions, findings: &Findings) -> Result<Pages> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let mut pages = Pages { more: true, ..Pages::default() };
        let mut cursor = None;
        for page in 1..=self.pages_max.unwrap_or(ITEMS_MAX / limit) {
            let path = self.page_path(cursor.as_deref());
            let answer = sessions.get(self.reader, path.as_str()).await?;
            let Some(items) = answer.body[self.array].as_array().filter(|_| answer.status == 200) else {
                findings.differ(format!("GET {path}: answered {} {}", answer.status, excerpt(&answer.body)));
                pages.broken = true;
                return Ok(pages);
            };
            findings.check(items.len() <= limit, || format!("GET {path}: {} items, more than {limit}", items.len()));
            findings.check(page == 1 || !items.is_empty(), || format!("GET {path}: a cursor led to an empty page"));
            let next = answer.body.get("next_cursor");
            findings.check(next.is_some_and(|next| next.is_null() || next.is_string()), || {
                format!("GET {path}: next_cursor is neither null nor a string")
            });
            cursor = next.and_then(Value::as_str).map(str::to_owned);
            findings.check(links_next(&answer.headers) == cursor.is_some(), || {
                format!("GET {path}: the Link header and next_cursor ({cursor:?}) contradict each other")
            });
            findings.check(cursor.is_none() || items.len() == limit, || {
                format!("GET {path}: {} items of {limit}, and yet a next page", items.len())
            });
            pages.items.extend(items.iter().cloned());
            if cursor.is_none() {
                pages.more = false;
                return Ok(pages);
            }
        }
        if self.pages_max.is_none() {
            findings.differ(format!("GET {}: the list does not end", self.path));
        }
        Ok(pages)
    }

    fn page_path(&self, cursor: Option<&str>) -> String {
        let mut path = self.path.clone();
        let limit = self.limit.map(|limit| format!("limit={limit}"));
        let cursor = cursor.map(|cursor| format!("cursor={}", percent_encoded(cursor)));
        for parameter in [limit, cursor].into_iter().flatten() {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(&parameter);
        }
        path
    }

    /// How many items the pages hold at most that are read at all.
    pub(crate) fn items_max(&self) -> usize {
        self.pages_max.map_or(usize::MAX, |pages| pages.saturating_mul(self.limit.unwrap_or(LIMIT_DEFAULT)))
    }

    /// Compares ids and order, and each item that was expected with what `render` gives for its expected position.
    pub(crate) fn compare(
        &self,
        findings: &Findings,
        expected: &[&str],
        pages: &Pages,
        render: impl Fn(usize) -> Value,
    ) -> Difference {
        let actual: Vec<&str> = pages.items.iter().map(|item| item[self.key].as_str().unwrap_or_default()).collect();
        findings.checked(actual.len().max(expected.len()) as u64);
        let positions: HashMap<&str, usize> = expected.iter().copied().zip(0..).collect();
        for (item, id) in pages.items.iter().zip(&actual) {
            if let Some(position) = positions.get(id) {
                let comparison = compare(&render(*position), item);
                findings.checked(comparison.values);
                for mismatch in comparison.mismatches {
                    findings.differ(format!("GET {} ({}), item {id}: {mismatch}", self.path, self.how()));
                }
            }
        }
        difference(expected, &actual)
    }

    /// In words, by whom and with which page size.
    pub(crate) fn how(&self) -> String {
        let limit = self.limit.map_or_else(|| "default limit".to_owned(), |limit| format!("limit {limit}"));
        let reader = self.reader.map_or_else(|| "nobody".to_owned(), |reader| format!("person {reader}"));
        format!("as {reader}, {limit}")
    }
}

fn difference(expected: &[&str], actual: &[&str]) -> Difference {
    let positions: HashMap<&str, usize> = expected.iter().copied().zip(0..).collect();
    let mut found = Difference::default();
    let mut seen = HashSet::new();
    let mut last = None;
    for (at, id) in actual.iter().enumerate() {
        if !seen.insert(*id) {
            found.doubled.push(at);
            continue;
        }
        let Some(position) = positions.get(id) else {
            found.unexpected.push(at);
            continue;
        };
        if last.is_some_and(|last| *position < last) && found.out_of_order.is_none() {
            found.out_of_order = Some(at);
        }
        last = Some(*position);
    }
    found.missing = (0..expected.len()).filter(|position| !seen.contains(expected[*position])).collect();
    found
}

fn links_next(headers: &HeaderMap) -> bool {
    let mut links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.any(|value| value.contains("rel=\"next\"") || value.contains("rel=next"))
}

/// Cursors are opaque, so nothing is known of what they may hold.
pub(crate) fn percent_encoded(cursor: &str) -> String {
    let mut encoded = String::with_capacity(cursor.len());
    for byte in cursor.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn listing(path: &str, limit: Option<usize>) -> Listing {
        Listing { path: path.to_owned(), array: "posts", key: "id", limit, pages_max: None, reader: None }
    }

    #[test]
    fn equal_lists_do_not_differ() {
        assert_eq!(difference(&["a", "b", "c"], &["a", "b", "c"]), Difference::default());
    }

    #[test]
    fn a_skipped_item_is_missing_and_a_foreign_one_unexpected() {
        let found = difference(&["a", "b", "c"], &["a", "x", "c"]);
        assert_eq!((found.missing, found.unexpected, found.out_of_order), (vec![1], vec![1], None));
    }

    #[test]
    fn an_item_that_stands_on_two_pages_is_doubled() {
        assert_eq!(difference(&["a", "b"], &["a", "b", "b"]).doubled, [2]);
    }

    #[test]
    fn two_swapped_items_are_out_of_order() {
        let found = difference(&["a", "b", "c"], &["b", "a", "c"]);
        assert_eq!(found, Difference { out_of_order: Some(1), ..Difference::default() });
    }

    #[test]
    fn a_wrong_value_in_an_item_is_found() {
        let findings = Findings::default();
        let pages = Pages { items: vec![serde_json::json!({"id": "a", "n": 1})], ..Pages::default() };
        listing("/posts", None).compare(&findings, &["a"], &pages, |_| serde_json::json!({"id": "a", "n": 2}));
        assert_eq!(findings.summary().lines, ["GET /posts (as nobody, default limit), item a: n: expected 2, got 1"]);
    }

    #[test]
    fn a_page_is_asked_for_with_limit_and_encoded_cursor() {
        assert_eq!(listing("/posts", None).page_path(None), "/posts");
        assert_eq!(
            listing("/posts?author_id=1", Some(7)).page_path(Some("a=/+")),
            "/posts?author_id=1&limit=7&cursor=a%3D%2F%2B"
        );
    }

    #[test]
    fn the_link_to_the_next_page_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert!(!links_next(&headers));
        headers.append(LINK, HeaderValue::from_static("<https://a/>; rel=\"prev\", <https://b/>; rel=\"next\""));
        assert!(links_next(&headers));
    }
}
