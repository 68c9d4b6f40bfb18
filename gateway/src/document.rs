//! What the handlers' annotations leave out of the document because it is the same for all: errors, headers, and the
//! parameters of lists, reads and writes.

mod door;
mod links;

use crate::schemas;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

/// Writes that take no `Idempotency-Key`: what ends the session or the account that a key would belong to is 401 when it is
/// said again, and tokens are not handed out twice under a key.
const UNREPEATED: [(&str, &str); 4] = [
    ("post", "/users/auth/login"),
    ("post", "/users/auth/refresh"),
    ("put", "/users/me/password"),
    ("delete", "/users/me"),
];

/// The whole document.
pub(crate) fn complete(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("the document is plain data");
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The access token of a session",
        },
        "admin": {
            "type": "http", "scheme": "bearer", "description": "The installation's admin token, from its data directory",
        },
    });
    document["components"]["headers"] = door::headers();
    let introduction = document["info"]["description"].as_str().unwrap_or_default();
    document["info"]["description"] = format!("{introduction}\n\n{}", door::description()).into();
    document["servers"] = json!([{"url": "/", "description": "The server that shows this document"}]);
    // What a derived schema cannot say.
    document["components"]["schemas"]["UpdateMe"]["dependentRequired"] = json!({"email": ["current_password"]});
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::iter_mut);
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flat_map(Map::iter_mut) {
            complete_operation(path, method, operation);
        }
    }
    links::add(&mut document);
    document
}

fn complete_operation(path: &str, method: &str, operation: &mut Value) {
    operation["operationId"] = operation_id(path, method).into();
    // Operators' routes promise what a handler says: they are not repeated under a key, and read what there is.
    let is_for_operators = operation["tags"][0] == "operators";
    let is_plumbing = operation["tags"][0] == "plumbing" || is_for_operators;
    let may_be_signed_in = !operation["security"].is_null();
    let is_list = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        .as_str()
        .is_some_and(|schema| schema.ends_with("List"));
    let is_write = !is_plumbing && method != "get";
    let has_body = !operation["requestBody"].is_null();
    let is_conditional = !operation["responses"]["304"].is_null();

    operation["description"] = description(operation, is_for_operators).into();
    if is_for_operators {
        operation["security"] = json!([{"admin": []}, {"bearer": []}]);
    } else if !may_be_signed_in {
        operation["security"] = json!([]);
    }
    if is_list {
        add_parameters(operation, schemas::paging_parameters());
    }
    // There is nothing to wait for.
    let ends_the_account = (path, method) == ("/users/me", "delete");
    if is_write && !UNREPEATED.contains(&(method, path)) {
        add_parameters(operation, json!([schemas::idempotency_parameter()]));
        if has_body {
            // Without one, no other request can be told from this one.
            add_error(operation, "409", "`KeyReused`: the Idempotency-Key was used for another request; or `InFlight`");
        }
    }
    if !is_write && !is_plumbing {
        add_parameters(operation, schemas::consistency_parameters());
    }
    if is_conditional {
        add_parameters(
            operation,
            json!([schemas::condition_parameter("If-None-Match", "What the client has already")]),
        );
    }
    if !operation["responses"]["412"].is_null() {
        let description = "It is done if one of these tags is of the version that there is; the version is all that \
            counts of a tag, so that likes and comments make none stale";
        let mut condition = schemas::condition_parameter("If-Match", description);
        condition["example"] = "*".into();
        add_parameters(operation, json!([condition]));
    }
    if !operation["responses"]["202"].is_null() && !ends_the_account {
        add_parameters(operation, json!([schemas::async_parameter()]));
        let applied = json!({"description": "`respond-async` if it was asked for", "schema": {"type": "string"}});
        operation["responses"]["202"]["headers"]["Preference-Applied"] = applied;
    }
    if has_body || has_parameters_to_get_wrong(operation) {
        add_error(operation, "400", "`InvalidRequest`");
    }
    let is_limited = operation["tags"][0] != "plumbing";
    if is_limited {
        door::add_errors(path, method, operation);
        add_error(operation, "500", "`InternalError`: a bug of ours");
    }
    if may_be_signed_in {
        add_error(operation, "401", "There is no access token where one is needed, or one that is not good");
    }
    if has_body {
        add_error(operation, "408", "The body did not arrive in time");
        add_error(operation, "413", "The body is larger than 256 KiB");
        add_error(operation, "415", "The body is not `application/json`");
    }
    // Until the log answers, nothing else does.
    if path != "/livez" {
        add_error(operation, "503", "Not now; `outcome` is `unknown` if a write may have taken effect");
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flat_map(Map::iter_mut) {
        complete_response(status, response, is_list, is_write, is_plumbing);
        if is_conditional && (status == "200" || status == "304") {
            schemas::conditional_headers(&mut response["headers"]);
        }
        if let Some(headers) = response["headers"].as_object_mut() {
            door::add_headers(status, !is_limited, headers);
        }
    }
}

/// What the handler says of it, and who may ask.
fn description(operation: &Value, is_for_operators: bool) -> String {
    let may_be_anybody = operation["security"].as_array().is_some_and(|it| it.iter().any(|it| *it == json!({})));
    let who = match (&operation["security"], is_for_operators) {
        (_, true) => "For whoever holds the admin token, and for operators who are signed in.",
        (Value::Null, _) => "Open to everybody.",
        _ if may_be_anybody => "Open to everybody; whoever is signed in is answered as who they are.",
        _ => "For whoever is signed in.",
    };
    operation["description"].as_str().map_or_else(|| who.to_owned(), |said| format!("{said}\n\n{who}"))
}

/// Whatever a preference or a consistency token says, it is no error.
fn has_parameters_to_get_wrong(operation: &Value) -> bool {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.into_iter().any(|it| it["name"] != "Prefer" && it["name"] != "X-Consistency-Token")
}

fn complete_response(status: &str, response: &mut Value, is_list: bool, is_write: bool, is_plumbing: bool) {
    let is_error = status.starts_with(['4', '5']);
    let text = || json!({"type": "string"});
    // What a handler says of a header itself is a promise too; a preference may be left alone.
    let mut headers = response["headers"].as_object().cloned().unwrap_or_default();
    headers.iter_mut().for_each(|(name, header)| header["required"] = (name != "Preference-Applied").into());
    let mut promise = |name: &str, required: bool, description: &str, schema: Value| {
        headers.insert(name.to_owned(), json!({"description": description, "required": required, "schema": schema}));
    };
    promise("X-Request-Id", true, "The id of the request, as in the server's log", text());
    if status == "401" {
        promise("WWW-Authenticate", true, "What is needed", text());
    }
    if ["409", "429", "503"].contains(&status) {
        let seconds = json!({"type": "integer", "minimum": 0});
        promise("Retry-After", status != "409", "When to ask again, in seconds", seconds);
    }
    if (status == "201" || status == "202")
        && response["content"]["application/json"]["schema"]["$ref"].as_str().is_some_and(can_be_got)
    {
        promise("Location", true, "Where it can be read", text());
    }
    if is_list && status == "200" {
        promise("Link", false, "The next page, with `rel=\"next\"`; absent at the end", text());
    }
    if !is_write && !is_plumbing && (status == "200" || status == "304") {
        promise("X-Consistency", false, "`stale` if the answer may lack what was asked to be seen", text());
        let records = json!({"type": "integer", "minimum": 0});
        promise("X-Consistency-Lag", false, "How many records a stale answer lacks at most", records);
    }
    if is_write && !is_error {
        headers.insert("X-Consistency-Token".to_owned(), schemas::consistency_token());
    }
    response["headers"] = headers.into();
    if is_error {
        response["content"] = json!({
            "application/json": {"schema": {"$ref": "#/components/schemas/Error"}},
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        });
    }
}

/// What is answered with 201 and can be read later; follows and likes have no address of their own.
fn can_be_got(schema: &str) -> bool {
    ["/Session", "/Post", "/Comment"].iter().any(|name| schema.ends_with(name))
}

fn add_parameters(operation: &mut Value, parameters: Value) {
    if operation["parameters"].is_null() {
        operation["parameters"] = json!([]);
    }
    if let (Some(all), Value::Array(more)) = (operation["parameters"].as_array_mut(), parameters) {
        all.extend(more);
    }
}

/// What a handler says itself stays as it is.
fn add_error(operation: &mut Value, status: &str, description: &str) {
    let response = &mut operation["responses"][status];
    if response.is_null() {
        *response = json!({"description": description});
    }
}

/// `get_posts_post_id_comments`
fn operation_id(path: &str, method: &str) -> String {
    let words = path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use crate::routes::openapi;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
        document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
    }

    #[test]
    fn the_document_is_of_version_3_1_and_names_every_operation_once() {
        let document = openapi();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let ids = operations(&document).map(|(_, operation)| operation["operationId"].as_str().unwrap());
        let distinct = ids.collect::<BTreeSet<_>>().len();
        assert_eq!(distinct, operations(&document).count());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(entries) => entries.iter().for_each(|(name, value)| match value {
                    Value::String(target) if name == "$ref" => found.push(target),
                    value => references(value, found),
                }),
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let document = openapi();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn every_error_has_the_one_shape_and_nothing_has_a_default_answer() {
        let document = openapi();
        for (name, operation) in operations(&document) {
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert_ne!(status, "default", "{name}");
                assert_eq!(response["headers"]["X-Request-Id"]["required"], true, "{name} {status}");
                let schema = &response["content"]["application/json"]["schema"]["$ref"];
                let is_error = schema == "#/components/schemas/Error";
                assert_eq!(is_error, status.starts_with(['4', '5']), "{name} {status}");
            }
        }
    }

    #[test]
    fn limits_are_published() {
        let document = openapi();
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["NewPost"]["properties"]["content"]["maxLength"], 5_000);
        assert_eq!(schemas["NewPost"]["required"], serde_json::json!(["content"]));
        assert_eq!(schemas["Register"]["properties"]["password"]["minLength"], 8);
        assert_eq!(schemas["UpdateMe"].get("required"), None);
        let listing = &document["paths"]["/posts"]["get"]["parameters"];
        assert!(
            listing.as_array().unwrap().iter().any(|it| it["name"] == "cursor" && it["schema"]["pattern"].is_string())
        );
    }
}
