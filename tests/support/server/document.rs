//! `openapi.json` held against answers: is the status promised, are the required headers there, has the body the shape.
//!
//! It knows the part of JSON Schema that the document uses.

use super::Answer;
use crate::seen::Seen;
use anyhow::Result;
use http::Method;
use serde_json::Value;

pub(super) struct Document {
    document: Value,
    seen: Seen,
}

impl Document {
    /// What is seen of it is noted for whoever judges the whole run.
    pub(super) fn new(document: Value) -> Result<Self> {
        Ok(Self { document, seen: Seen::of_this_run()? })
    }

    /// An error names the promise that the answer breaks.
    pub(super) fn check(&self, method: &Method, target: &str, answer: &Answer) -> Result<(), String> {
        let status = answer.status.as_u16().to_string();
        if method == Method::OPTIONS && answer.status == 204 {
            return answer.header("allow").map(drop).ok_or_else(|| "the header allow is missing".to_owned());
        }
        let Some((path, operation)) = self.operation(method, target) else {
            // Unknown routes and methods are answered in the one shape too.
            let error = &self.document["components"]["schemas"]["Error"];
            return match answer.status.as_u16() {
                404 | 405 | 406 | 414 | 429 | 431 | 503 if method != Method::HEAD => {
                    self.shape("body", error, &answer.body)
                }
                404 | 405 => Ok(()),
                _ => Err("the document has no such operation".to_owned()),
            };
        };
        let response = &operation["responses"][&status];
        if response.is_null() {
            return Err("the document does not promise this status".to_owned());
        }
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let header = header["$ref"].as_str().and_then(|at| self.document.pointer(&at[1..])).unwrap_or(header);
            if header["required"] == true && answer.header(name).is_none() {
                return Err(format!("the header {name} is missing"));
            }
        }
        if method == Method::HEAD {
            let is_empty = answer.body.is_null() || answer.body == "";
            return is_empty.then_some(()).ok_or_else(|| "an answer to HEAD has a body".to_owned());
        }
        self.content(response, answer)?;
        let noted = self.seen.note(&format!("{method} {path}"), answer.status.as_u16());
        noted.map_err(|error| format!("it could not be noted: {error}"))
    }

    fn content(&self, response: &Value, answer: &Answer) -> Result<(), String> {
        let essence = answer.header("content-type").and_then(|it| it.split(';').next()).unwrap_or_default();
        match response["content"].as_object() {
            None if answer.body.is_null() => Ok(()),
            None => Err("the document promises no body".to_owned()),
            Some(content) => {
                let content = content.get(essence).ok_or_else(|| format!("the content type is {essence:?}"))?;
                self.shape("body", &content["schema"], &answer.body)
            }
        }
    }

    /// The operation that is meant, with its path as it is documented.
    fn operation(&self, method: &Method, target: &str) -> Option<(&str, &Value)> {
        let path = target.split('?').next()?.trim_end_matches('/');
        let path = path.strip_prefix("/auth/").map_or_else(|| path.to_owned(), |rest| format!("/users/auth/{rest}"));
        let fits = |template: &&String| {
            let (wanted, given) = (template.split('/'), path.split('/'));
            wanted.clone().count() == given.clone().count()
                && wanted.zip(given).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
        };
        let paths = self.document["paths"].as_object()?;
        // Of two templates that fit, the one with fewer variables is meant.
        let template = paths.keys().filter(fits).min_by_key(|template| template.matches('{').count())?;
        // HEAD is GET without the body.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        Some((template, paths[template].get(method.as_str().to_lowercase())?))
    }

    fn shape(&self, at: &str, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let target =
                self.document.pointer(reference.trim_start_matches('#')).ok_or_else(|| format!("no {reference}"))?;
            return self.shape(at, target, value);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.shape(at, part, value)?;
        }
        if let Some(choices) = schema["oneOf"].as_array()
            && !choices.iter().any(|choice| self.shape(at, choice, value).is_ok())
        {
            return Err(format!("{at}: {value} is none of the choices"));
        }
        if !has_type(&schema["type"], value) {
            return Err(format!("{at}: {value} is no {}", schema["type"]));
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return Err(format!("{at}: {value} is not listed"));
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                return Err(format!("{at}.{name} is missing"));
            }
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = value.get(name) {
                self.shape(&format!("{at}.{name}"), schema, value)?;
            }
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.shape(&format!("{at}[{index}]"), &schema["items"], item)?;
        }
        Ok(())
    }
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    match types {
        Value::Array(types) => types.iter().any(is),
        name => is(name),
    }
}
