//! No route without documentation. Every path that the sources mention, and any two in a row as a router in another one
//! would have them, is asked of a live server: only a path that is routed is answered otherwise than with "no such route".

use anyhow::{Context, Result, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use http::Method;
use proc_macro2::{TokenStream, TokenTree};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tidings_tests::server::TestServer;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/src");
/// Requests under way at one time.
const AT_ONCE: usize = 32;

/// Paths, or beginnings and ends of some, that stand in a source as strings.
fn paths_in(source: &str) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut streams: Vec<TokenStream> = vec![source.parse().map_err(|error| anyhow::anyhow!("{error}"))?];
    while let Some(stream) = streams.pop() {
        for token in stream {
            match token {
                TokenTree::Group(group) => streams.push(group.stream()),
                TokenTree::Literal(literal) => found.extend(path(&literal.to_string())),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// The path that a literal is, with an id in place of each variable.
fn path(literal: &str) -> Option<String> {
    let text = syn::parse_str::<syn::LitStr>(literal).ok()?.value();
    let is_path = text.starts_with('/') && text.chars().all(|c| c.is_ascii_alphanumeric() || "/{}*:_.-".contains(c));
    let parts = text.split('/').map(|part| if part.starts_with('{') { NOBODY } else { part });
    (is_path && text.len() > 1).then(|| parts.collect::<Vec<_>>().join("/"))
}

/// The one form that every path has before it is routed.
fn normal(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if path.starts_with("/auth/") { format!("/users{trimmed}") } else { trimmed.to_owned() }
}

fn census(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(census(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(paths_in(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?);
        }
    }
    Ok(found)
}

/// The methods of each of these paths that is routed. What answers a method that nobody has heard of answers any.
async fn live(server: &TestServer, paths: BTreeSet<String>) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let ask = |path: String| async move {
        let answer = server.call(Method::from_bytes(b"BREW")?, path.as_str()).send().await;
        // What is no error of the router is not promised: the client says which path that was.
        let answer = answer?;
        let allowed = answer.header("allow").unwrap_or_default().split(',').filter(|it| !it.is_empty());
        // These follow from the others.
        let methods = allowed.filter(|it| !["HEAD", "OPTIONS"].contains(it)).map(str::to_lowercase).collect();
        anyhow::Ok((answer.status != 404).then_some((path, methods)))
    };
    stream::iter(paths).map(ask).buffer_unordered(AT_ONCE).try_filter_map(async |it| Ok(it)).try_collect().await
}

/// What is routed and not documented, or documented and not routed.
fn drift(live: &BTreeMap<String, BTreeSet<String>>, document: &Value) -> Vec<String> {
    let documented = |path: &str| {
        let fits = |template: &&String| {
            let (wanted, given) = (template.split('/'), path.split('/'));
            wanted.clone().count() == given.clone().count()
                && wanted.zip(given).all(|(wanted, given)| wanted == given || wanted.starts_with('{'))
        };
        let templates = document["paths"].as_object().into_iter().flat_map(|paths| paths.keys());
        let template = templates.filter(fits).min_by_key(|template| template.matches('{').count());
        let item = template.and_then(|template| document["paths"][template].as_object());
        item.into_iter().flat_map(|item| item.keys().cloned()).collect::<BTreeSet<_>>()
    };
    let mut found = Vec::new();
    for (path, methods) in live {
        let documented = documented(path);
        found.extend(methods.difference(&documented).map(|method| format!("{method} {path} is not documented")));
        found.extend(documented.difference(methods).map(|method| format!("{method} {path} is documented only")));
        if methods.is_empty() {
            found.push(format!("{path} takes any method"));
        }
    }
    for template in document["paths"].as_object().into_iter().flat_map(|paths| paths.keys()) {
        let path = path(&format!("{template:?}")).unwrap_or_default();
        if !live.contains_key(&path) {
            found.push(format!("{template} is documented only"));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_documented_and_one_that_was_not_would_be_named() -> Result<()> {
    let server = TestServer::start().await?;
    let alone = census(Path::new(SOURCES))?;
    let joined = alone.iter().flat_map(|one| alone.iter().map(move |other| format!("{one}{other}")));
    let paths = alone.iter().cloned().chain(joined).map(|path| normal(&path)).filter(|path| !path.is_empty());
    let live = live(&server, paths.collect()).await?;
    let document = gateway::openapi();
    assert_eq!(drift(&live, &document), [""; 0]);
    // Whichever operation the document did not have: its route is there all the same, and is named.
    for (template, item) in document["paths"].as_object().context("no paths")? {
        for method in item.as_object().context("no methods")?.keys() {
            let mut without = document.clone();
            without["paths"][template].as_object_mut().context("no methods")?.remove(method);
            let named = drift(&live, &without);
            ensure!(named.iter().any(|it| it.ends_with("is not documented")), "{method} {template}: {named:?}");
        }
    }
    let mut invented = document.clone();
    invented["paths"]["/nowhere"] = json!({"get": {}});
    assert_eq!(drift(&live, &invented), ["/nowhere is documented only"]);
    server.close().await
}

#[test]
fn a_route_is_found_in_the_sources_however_it_is_written() -> Result<()> {
    let source = r##"
        fn hidden() -> Router { Router::new().route("/hidden/{id}", any(x)).nest(r"/inner", y) }
        #[utoipa::path(get, path = "/shown", responses((status = 200)))]
        fn shown() { format!("/posts/{id}/likes"); "no path"; "/"; "/with space" }
    "##;
    let found = paths_in(source)?;
    let hidden = format!("/hidden/{NOBODY}");
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [hidden, "/inner".into(), format!("/posts/{NOBODY}/likes"), "/shown".into()]
    );
    Ok(())
}
