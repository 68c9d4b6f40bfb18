//! Which requests an answer leads to: those whose paths take the ids that stand in it. Derived from the document itself,
//! so that no list of them can be forgotten.

use super::operation_id;
use serde_json::{Map, Value, json};

/// An operation whose path has variables.
struct Target {
    path: String,
    method: String,
    variables: Vec<String>,
}

/// Adds the links of what is created, and from what is made at an address to what else can be done there.
pub(super) fn add(document: &mut Value) {
    let (schemas, targets) = (document["components"]["schemas"].clone(), targets(document));
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::iter_mut);
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flat_map(Map::iter_mut) {
            let Some(created) = operation["responses"].get_mut("201") else { continue };
            let ids = ids_in(&schemas, &created["content"]["application/json"]["schema"]);
            let by_id = targets.iter().filter_map(|it| Some((it, it.from(&ids)?)));
            let here = targets.iter().filter(|it| it.path == *path && it.method != *method);
            let links = by_id.chain(here.map(|it| (it, it.again())));
            let links = links.map(|(target, parameters)| {
                let id = operation_id(&target.path, &target.method);
                (id.clone(), json!({"operationId": id, "parameters": parameters}))
            });
            created["links"] = links.collect::<Map<_, _>>().into();
        }
    }
}

impl Target {
    /// Its variables from these ids, if all are there.
    fn from(&self, ids: &Map<String, Value>) -> Option<Map<String, Value>> {
        self.variables.iter().map(|name| Some((name.clone(), ids.get(name)?.clone()))).collect()
    }

    /// Its variables as they were in the request.
    fn again(&self) -> Map<String, Value> {
        self.variables.iter().map(|name| (name.clone(), format!("$request.path.{name}").into())).collect()
    }
}

fn targets(document: &Value) -> Vec<Target> {
    let mut targets = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let variables = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let variables: Vec<_> = variables.map(str::to_owned).collect();
        for method in item.as_object().into_iter().flat_map(Map::keys).filter(|_| !variables.is_empty()) {
            targets.push(Target { path: path.clone(), method: method.clone(), variables: variables.clone() });
        }
    }
    targets
}

/// What the ids in a body are called in paths, and where they stand.
fn ids_in(schemas: &Value, schema: &Value) -> Map<String, Value> {
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()).unwrap_or_default();
    let fields = schemas[name]["properties"].as_object().into_iter().flat_map(Map::keys);
    let ids = fields.filter_map(|field| {
        let called = match (field.as_str(), name) {
            // The id that a session shows is that of whose it is.
            ("id", "Session") => "user_id".to_owned(),
            ("id", _) => format!("{}_id", name.to_lowercase()),
            _ => field.clone(),
        };
        called.ends_with("_id").then(|| (called, format!("$response.body#/{field}").into()))
    });
    ids.collect()
}
