//! API8, API9: paths, methods and headers that would lead around the door.

use super::Attack;
use anyhow::Result;
use http::Method;

#[tokio::test(flavor = "multi_thread")]
async fn no_path_method_or_header_leads_around_the_door() -> Result<()> {
    let mut attack = Attack::begin().await?;
    let eve = attack.eve.token.clone();
    for path in [
        "//users/me",
        "/users//me",
        "/./users/me",
        "/users/../users/me",
        "/users/%6De",
        "/users%2Fme",
        "/USERS/ME",
        "/users/me;a=b",
        "/users/me%00",
        "/users/me%20",
        "/users/me.json",
        "/posts/..%2f..%2fadmin%2fsagas",
        "/.env",
        "/debug/pprof",
        "/actuator/env",
        "/graphql",
        "/swagger.json",
        "/v0/users/me",
        "/auth/../admin/sagas",
        "/auth//login",
    ] {
        let answer = attack.server.get(path).token(&eve).send().await?;
        // What stands where an id would is no id.
        let expected = match path {
            "/users/%6De"
            | "/users/me;a=b"
            | "/users/me%00"
            | "/users/me%20"
            | "/users/me.json"
            | "/posts/..%2f..%2fadmin%2fsagas" => 400,
            _ => 404,
        };
        assert_eq!(answer.status.as_u16(), expected, "{path}: {}", answer.body);
        attack.tried.push((format!("GET {path}"), expected.to_string()));
    }
    for method in ["TRACE", "PATCH", "PROPFIND", "DEBUG"] {
        let method: Method = method.parse()?;
        attack.tries(format!("{method} /users/me"), |it| it.call(method.clone(), "/users/me").token(&eve), 405).await?;
    }
    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-original-url", "/admin/sagas"),
        ("x-rewrite-url", "/admin/sagas"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "evil.example"),
        ("x-user-id", "00000000-0000-0000-0000-000000000000"),
        ("x-consistency-token", "00000000000000000000000000000000000000"),
    ] {
        let what = format!("{name}: {value}");
        let answer = attack.tries(what, |it| it.get("/users/me").token(&eve).header(name, value), 200).await?;
        assert_eq!(answer.text("id"), attack.eve.id);
    }
    attack.end("Paths, methods, headers (API8, API9)").await
}
