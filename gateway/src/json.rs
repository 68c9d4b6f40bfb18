//! A request's body: JSON within limits, and then field by field, so that every wrong field is named at once.
//!
//! Whatever a client sends, the answer is one of 400, 408, 413 and 415: reading never fails in another way.

use crate::error::{ApiError, ErrorName, FieldError};
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// The longest body, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;
/// How deep arrays and objects may be nested.
pub(crate) const DEPTH_MAX: usize = 32;
/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// A body that was read; its fields are still to be parsed.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) || parts.headers.contains_key(CONTENT_ENCODING) {
            let message = "The body must be JSON, as it is: Content-Type: application/json";
            return Err(ApiError::new(ErrorName::UnsupportedMediaType, message));
        }
        let bytes = match timeout(BODY_TIME_MAX, collect(body)).await {
            Ok(bytes) => bytes?,
            Err(_) => return Err(ApiError::new(ErrorName::RequestTimeout, "The body did not arrive in time")),
        };
        parse(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|it| it.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

async fn collect(body: Body) -> Result<bytes::Bytes, ApiError> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("The body has more than {BODY_BYTES_MAX} bytes");
            Err(ApiError::new(ErrorName::PayloadTooLarge, message))
        }
        Err(_) => Err(ApiError::invalid("The body was cut off")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // What is not looked at must be text as well.
    let text = std::str::from_utf8(bytes).map_err(|_| ApiError::invalid("The body is not UTF-8"))?;
    if depth(bytes) > DEPTH_MAX {
        return Err(ApiError::invalid(format!("The body is nested more than {DEPTH_MAX} levels deep")));
    }
    // A derived `Deserialize` would take an array for a struct.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(ApiError::invalid("The body must be a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        // Of an error of syntax the text shows no more than a place; of others it may show what was sent.
        let what = if error.is_data() { "a field stands twice".to_owned() } else { error.to_string() };
        ApiError::invalid(format!("The body is not JSON: {what}"))
    })
}

/// How deep brackets are nested, outside strings. What is not JSON may get any number; the parser refuses it.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A field that should be a string; anything else is remembered until the field is asked for.
#[derive(Default, Clone, PartialEq)]
pub(crate) enum Field {
    #[default]
    Absent,
    Null,
    Text(String),
    Wrong,
}

impl Field {
    /// `None` if it is absent.
    pub(crate) fn given(&self) -> Option<&Self> {
        (*self != Self::Absent).then_some(self)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Field, E> {
        Ok(Field::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Wrong)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
        Ok(Field::Wrong)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
        Ok(Field::Wrong)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Wrong)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Wrong)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Field, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Wrong)
    }
}

/// Collects what is wrong with the fields of a body.
#[derive(Default)]
pub(crate) struct Fields(Vec<FieldError>);

impl Fields {
    pub(crate) fn refuse(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push(FieldError { field, message: message.into() });
    }

    /// The value of a field that must be there.
    pub(crate) fn required<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        field: &Field,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match field {
            Field::Absent => {
                self.refuse(name, format!("{name} is missing"));
                None
            }
            Field::Text(text) => parse(text).map_err(|error| self.refuse(name, error.to_string())).ok(),
            Field::Null | Field::Wrong => {
                self.refuse(name, format!("{name} must be a string"));
                None
            }
        }
    }

    /// The value of a field that may be absent, or null.
    pub(crate) fn nullable<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        field: &Field,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match field {
            Field::Absent | Field::Null => None,
            field => self.required(name, field, parse),
        }
    }

    /// The parsed fields, if nothing is wrong; every required one is there then.
    pub(crate) fn done<T>(self, parsed: Option<T>) -> Result<T, ApiError> {
        match parsed {
            Some(parsed) if self.0.is_empty() => Ok(parsed),
            _ => Err(ApiError::of_fields(ErrorName::InvalidRequest, self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Content;
    use serde_json::Value;

    #[derive(Deserialize)]
    struct Sample {
        #[serde(default)]
        content: Field,
    }

    fn message(body: &str) -> Value {
        let error = parse::<Sample>(body.as_bytes()).map(drop).unwrap_err();
        serde_json::from_slice(&error.body("r", false)).unwrap()
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        assert_eq!(depth(br#"{"a":"[[[\"[[","b":[{}]}"#), 3);
        assert_eq!(depth(b"}}}[["), 2);
    }

    #[test]
    fn a_body_nested_too_deep_is_refused_wherever_it_is() {
        let nested = |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(parse::<Sample>(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(message(&nested(DEPTH_MAX + 1))["status_code"], 400);
    }

    #[test]
    fn what_is_not_an_object_is_said_to_be_none() {
        for body in ["", "null", "1", "\"x\"", "true", "[]", "[\"x\"]"] {
            assert_eq!(message(body)["message"], "The body must be a JSON object", "{body}");
        }
    }

    #[test]
    fn malformed_json_is_refused_with_its_place_and_without_its_text() {
        for body in ["{", "{\"content\":", "{'content':'x'}", "{\"content\":\"\\ud800\"}", "{}x"] {
            assert_eq!(message(body)["error"], "InvalidRequest", "{body}");
        }
        assert!(parse::<Sample>(b"{\"content\":\"\xff\"}").is_err());
    }

    #[test]
    fn every_wrong_field_is_named() {
        for (value, expected) in
            [("1", "must be a string"), ("null", "must be a string"), ("[{}]", "must be a string"), ("\" \"", "empty")]
        {
            let sample: Sample = parse(format!("{{\"content\":{value}}}").as_bytes()).unwrap();
            let mut fields = Fields::default();
            let content = fields.required("content", &sample.content, Content::parse);
            let error = fields.done(content).unwrap_err().body("r", false);
            let error: Value = serde_json::from_slice(&error).unwrap();
            assert_eq!(error["errors"][0]["field"], "content", "{error}");
            assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        assert_eq!(message("{\"content\":\"a\",\"content\":\"b\"}")["status_code"], 400);
    }
}
