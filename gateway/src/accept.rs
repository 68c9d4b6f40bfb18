//! What a client accepts (RFC 9110, 12.5.1), of the two things that we send: JSON and, for errors, problem details.
//!
//! Lenient in two ways. Who accepts only problem details gets JSON where there is no problem, since that is what there
//! is and they can read it. And a header that cannot be read says nothing.

use crate::error::{ApiError, ErrorName};
use http::HeaderMap;
use http::header::ACCEPT;

const JSON: &str = "json";
const PROBLEM: &str = "problem+json";

/// 406 if the client accepts nothing that we send.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    if !headers.contains_key(ACCEPT) {
        return Ok(());
    }
    let none = [JSON, PROBLEM].into_iter().all(|subtype| quality(headers, subtype).is_some_and(|quality| quality == 0));
    if none {
        let message = "There is nothing here but application/json and, for errors, application/problem+json";
        return Err(ApiError::new(ErrorName::NotAcceptable, message));
    }
    Ok(())
}

/// Whether errors are to be problem details: who names them knows them.
pub(crate) fn wants_problem(headers: &HeaderMap) -> bool {
    ranges(headers).any(|range| range.specificity(PROBLEM) == Some(Specificity::Exact) && range.quality > 0)
}

/// How much a subtype of `application` is wanted, in thousandths; `None` if the header says nothing at all.
fn quality(headers: &HeaderMap, subtype: &str) -> Option<u16> {
    let mut said = None;
    let mut best = None;
    for range in ranges(headers) {
        said.get_or_insert(0);
        if let Some(specificity) = range.specificity(subtype)
            && best.is_none_or(|best| specificity >= best)
        {
            (best, said) = (Some(specificity), Some(range.quality));
        }
    }
    said
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Anything,
    Application,
    Exact,
}

/// A media range with its weight in thousandths.
struct Range<'a> {
    r#type: &'a str,
    subtype: &'a str,
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (r#type, subtype) = parts.next()?.split_once('/')?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
        let quality = quality.filter(|quality| (0.0..=1.0).contains(quality))?;
        Some(Self { r#type, subtype, quality: (quality * 1_000.0) as u16 })
    }

    fn specificity(&self, subtype: &str) -> Option<Specificity> {
        match (self.r#type, self.subtype) {
            ("*", "*") => Some(Specificity::Anything),
            (r#type, _) if !r#type.eq_ignore_ascii_case("application") => None,
            (_, "*") => Some(Specificity::Application),
            (_, given) => given.eq_ignore_ascii_case(subtype).then_some(Specificity::Exact),
        }
    }
}

fn ranges(headers: &HeaderMap) -> impl Iterator<Item = Range<'_>> {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(Range::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (ACCEPT, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn who_accepts_nothing_that_we_send_is_told() {
        for (lines, is_fine) in [
            (&[][..], true),
            (&[""], true),
            (&["*/*"], true),
            (&["application/json"], true),
            (&["APPLICATION/JSON;charset=utf-8"], true),
            (&["application/*;q=0.1"], true),
            (&["application/problem+json"], true),
            (&["text/html,application/xhtml+xml,*/*;q=0.8"], true),
            (&["text/html", "application/json"], true),
            (&["nonsense"], true),
            (&["text/html"], false),
            (&["text/*, image/png"], false),
            (&["application/xml"], false),
            (&["application/json;q=0"], false),
            (&["application/json;q=0, application/problem+json;q=0, */*"], false),
            (&["*/*;q=0"], false),
            (&["application/*;q=0, */*"], false),
            (&["application/json;q=0, */*;q=0.1"], true),
        ] {
            assert_eq!(check(&headers(lines)).is_ok(), is_fine, "{lines:?}");
        }
    }

    #[test]
    fn problem_details_are_for_who_names_them() {
        assert!(wants_problem(&headers(&["application/json, Application/Problem+JSON;q=0.5"])));
        for other in ["*/*", "application/*", "application/json", "application/problem+json;q=0"] {
            assert!(!wants_problem(&headers(&[other])), "{other}");
        }
    }
}
