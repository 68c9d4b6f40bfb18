//! Compares a JSON value with the expected one. Fields that are not expected are ignored, as a client would; a field
//! that is expected and absent differs, also where `null` is expected.

use serde_json::Value;

/// How many values were compared, and each mismatch in words.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) values: u64,
    pub(crate) mismatches: Vec<String>,
}

pub(crate) fn compare(expected: &Value, actual: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    comparison.visit("", expected, actual);
    comparison
}

impl Comparison {
    fn visit(&mut self, at: &str, expected: &Value, actual: &Value) {
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => {
                for (field, expected) in expected {
                    let at = if at.is_empty() { field.clone() } else { format!("{at}.{field}") };
                    match actual.get(field) {
                        Some(actual) => self.visit(&at, expected, actual),
                        None => self.mismatch(&at, &excerpt(expected), "no such field"),
                    }
                }
            }
            (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
                self.values += 1;
                for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                    self.visit(&format!("{at}[{index}]"), expected, actual);
                }
            }
            _ if expected == actual => self.values += 1,
            _ => self.mismatch(at, &excerpt(expected), &excerpt(actual)),
        }
    }

    fn mismatch(&mut self, at: &str, expected: &str, actual: &str) {
        self.values += 1;
        let at = if at.is_empty() { "body" } else { at };
        self.mismatches.push(format!("{at}: expected {expected}, got {actual}"));
    }
}

/// The value, shortened to fit a line.
pub(crate) fn excerpt(value: &Value) -> String {
    const EXCERPT_CHARS_MAX: usize = 160;
    let text = value.to_string();
    match text.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_number_deep_inside_is_named_by_its_path() {
        let comparison = compare(&json!({"a": [{"n": 1}], "b": 2}), &json!({"a": [{"n": 3}], "b": 2, "c": 0}));
        assert_eq!(comparison.mismatches, ["a[0].n: expected 1, got 3"]);
        assert_eq!(comparison.values, 3);
    }

    #[test]
    fn an_absent_field_is_not_null() {
        assert_eq!(compare(&json!({"a": null}), &json!({})).mismatches.len(), 1);
    }

    #[test]
    fn a_longer_or_reordered_array_differs() {
        assert_eq!(compare(&json!(["x"]), &json!(["x", "x"])).mismatches.len(), 1);
        assert_eq!(compare(&json!(["x", "y"]), &json!(["y", "x"])).mismatches.len(), 2);
    }

    #[test]
    fn null_and_a_missing_body_differ_from_an_object() {
        assert_eq!(compare(&json!({"a": 1}), &Value::Null).mismatches.len(), 1);
    }
}
