//! `openapi.json` is true: it lists the routes and methods that there are, and no others.

use anyhow::Result;
use http::Method;
use std::collections::{BTreeMap, BTreeSet};
use tidings_tests::server::TestServer;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn the_document_lists_exactly_the_methods_that_each_path_has() -> Result<()> {
    let server = TestServer::start().await?;
    let document = server.get("/openapi.json").send().await?.body;
    assert_eq!(document, gateway::openapi());
    for (template, item) in document["paths"].as_object().unwrap() {
        let path = template.split('/').map(|part| if part.starts_with('{') { NOBODY } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let mut documented = item.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect::<BTreeSet<_>>();
        if documented.contains("GET") {
            // HEAD is GET without a body, wherever there is one.
            documented.insert("HEAD".to_owned());
        }
        documented.insert("OPTIONS".to_owned());
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = server.call(Method::from_bytes(method.as_bytes())?, path.as_str()).send().await?;
            assert_eq!(answer.status != 405, documented.contains(method), "{method} {path}: {}", answer.status);
            if answer.status == 405 {
                let allowed = answer.header("allow").unwrap().split(',').map(str::to_owned).collect::<BTreeSet<_>>();
                assert_eq!(allowed, documented, "{path}");
            }
        }
    }
    server.close().await
}

#[test]
fn the_document_lists_what_is_promised_and_nothing_else() {
    let promised = [
        ("/users/auth/register", "post"),
        ("/users/auth/login", "post"),
        ("/users/auth/refresh", "post"),
        ("/users/auth/logout", "post"),
        ("/users", "get"),
        ("/users/me", "delete get put"),
        ("/users/me/password", "put"),
        ("/users/me/sessions", "get"),
        ("/users/me/sessions/{session_id}", "delete"),
        ("/.well-known/openid-configuration", "get"),
        ("/.well-known/jwks.json", "get"),
        ("/deletions/{ticket}", "get"),
        ("/users/{user_id}", "get"),
        ("/users/{user_id}/follow", "delete post"),
        ("/users/me/blocks", "get"),
        ("/users/me/mutes", "get"),
        ("/users/{user_id}/block", "delete post"),
        ("/users/{user_id}/mute", "delete post"),
        ("/users/{user_id}/followers", "get"),
        ("/users/{user_id}/following", "get"),
        ("/posts", "get post"),
        ("/posts/{post_id}", "delete get put"),
        ("/posts/{post_id}/history", "get"),
        ("/users/{user_id}/posts", "get"),
        ("/hashtags/{hashtag}/posts", "get"),
        ("/posts/{post_id}/comments", "get post"),
        ("/posts/{post_id}/comments/{comment_id}", "delete get"),
        ("/posts/{post_id}/likes", "delete get post"),
        ("/notifications", "get"),
        ("/notifications/unread-count", "get"),
        ("/feed", "get"),
        ("/admin/sagas", "get"),
        ("/admin/sagas/{saga_id}", "get"),
        ("/admin/sagas/{saga_id}/retry", "post"),
        ("/admin/sagas/{saga_id}/compensate", "post"),
        ("/admin/parked", "get"),
        ("/admin/parked/retry", "post"),
        ("/admin/parked/discard", "post"),
        ("/admin/users", "get"),
        ("/admin/users/{user_id}/role", "put"),
        ("/openapi.json", "get"),
        ("/livez", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    ];
    let promised = BTreeMap::from(promised.map(|(path, methods)| (path.to_owned(), methods.to_owned())));
    let document = gateway::openapi();
    let listed = document["paths"].as_object().unwrap().iter().map(|(path, item)| {
        let methods = item.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        (path.clone(), methods.into_iter().collect::<Vec<_>>().join(" "))
    });
    assert_eq!(listed.collect::<BTreeMap<_, _>>(), promised);
}
