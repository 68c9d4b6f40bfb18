//! Whatever is wrong with a request: the documented error, never a 500, and nothing written.

use anyhow::Result;
use http::{Method, StatusCode};
use serde_json::json;
use tidings_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_it_should_be_is_refused_everywhere() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let post = server.publish(&ada, "a post").await?;
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(40), "]".repeat(40));
    let large = format!("{{\"content\":\"{}\"}}", "x".repeat(256 * 1024));
    let bodies: [(&str, u16); 18] = [
        ("", 400),
        ("{", 400),
        ("null", 400),
        ("[]", 400),
        ("\"text\"", 400),
        ("{}{}", 400),
        ("{\"content\":1,\"text\":1,\"bio\":1,\"email\":1}", 400),
        ("{\"content\":[],\"text\":[],\"bio\":[],\"email\":[]}", 400),
        ("{\"content\":{\"a\":{}},\"text\":{},\"bio\":{},\"email\":{}}", 400),
        ("{\"content\":true,\"text\":true,\"bio\":true,\"email\":true}", 400),
        ("{\"content\":1e999,\"text\":1e999,\"bio\":1e999,\"email\":1e999}", 400),
        ("{\"content\":\" \\n\",\"text\":\" \",\"bio\":\"\",\"email\":\"\"}", 400),
        ("{\"content\":\"a\\u0000b\",\"text\":\"\\u0000\",\"bio\":\"\\u0000\",\"email\":\"\\u0000\"}", 400),
        ("{\"content\":\"\\ud800\",\"text\":\"\\ud800\",\"bio\":\"\\ud800\",\"email\":\"\\ud800\"}", 400),
        ("{\"content\":\"a\",\"content\":\"b\",\"text\":1,\"bio\":1,\"email\":1}", 400),
        ("{'content':'x'}", 400),
        (&deep, 400),
        (&large, 413),
    ];
    let routes = [
        (Method::POST, "/users/auth/register".to_owned()),
        (Method::POST, "/users/auth/login".to_owned()),
        (Method::PUT, "/users/me".to_owned()),
        (Method::POST, "/posts".to_owned()),
        (Method::PUT, format!("/posts/{post}")),
        (Method::POST, format!("/posts/{post}/comments")),
    ];
    let before = server.records().await?;
    for (method, path) in &routes {
        let call = || server.call(method.clone(), path.as_str()).by(&ada);
        for (body, status) in bodies {
            let answer = call().raw(body).header("content-type", "application/json; charset=utf-8").send().await?;
            assert_eq!(answer.status, status, "{method} {path} {:.60}: {}", body, answer.body);
        }
        let invalid = call().raw(b"{\"content\":\"\xff\"}".to_vec()).header("content-type", "application/json");
        assert_eq!(invalid.send().await?.error(), (400, "InvalidRequest"));
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            let answer = call().raw("{}").header("content-type", media_type).send().await?;
            assert_eq!(answer.error(), (415, "UnsupportedMediaType"), "{method} {path} {media_type}");
        }
        assert_eq!(call().raw("{}").send().await?.error(), (415, "UnsupportedMediaType"));
    }
    assert_eq!(server.records().await?, before);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_named_at_once() -> Result<()> {
    let server = TestServer::start().await?;
    let body = json!({ "email": "no address", "password": "short", "username": "a b" });
    let answer = server.post("/users/auth/register").json(&body).send().await?;
    assert_eq!(answer.error(), (400, "InvalidRequest"));
    let fields = answer.body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap());
    assert_eq!(fields.collect::<Vec<_>>(), ["email", "username", "password"]);
    let empty = server.post("/users/auth/register").json(&json!({})).send().await?;
    assert_eq!(empty.body["errors"].as_array().map(Vec::len), Some(3));
    let ada = server.register("ada").await?;
    let blank = server.post("/posts").by(&ada).json(&json!({ "content": " " })).send().await?;
    assert_eq!((blank.error(), blank.text("message")), ((400, "InvalidRequest"), "Content cannot be empty".to_owned()));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_count_code_points_and_hold_exactly() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let post = server.publish(&ada, "a post").await?;
    for (method, path, field, max, ok) in [
        (Method::POST, "/posts".to_owned(), "content", 5_000, 201),
        (Method::PUT, format!("/posts/{post}"), "content", 5_000, 200),
        (Method::POST, format!("/posts/{post}/comments"), "text", 2_000, 201),
        (Method::PUT, "/users/me".to_owned(), "bio", 500, 200),
    ] {
        for (length, status) in [(max, ok), (max + 1, 400)] {
            let body = json!({ field: "😀".repeat(length) });
            let answer = server.call(method.clone(), path.as_str()).by(&ada).json(&body).send().await?;
            assert_eq!(answer.status, status, "{path} {length}");
        }
    }
    // The longest hashtags that there can be: each of these becomes 18 characters when it is folded.
    let tags = format!("#a{}", "\u{fdfa}".repeat(4_998));
    let answer = server.post("/posts").by(&ada).json(&json!({ "content": tags })).send().await?;
    assert_eq!(answer.status, StatusCode::CREATED);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_keys_cursors_and_limits_that_have_no_such_form_are_refused() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let post = server.publish(&ada, "a post").await?;
    let before = server.records().await?;
    for path in [
        "/users/x".to_owned(),
        "/users/%00".to_owned(),
        "/users/%ff/followers".to_owned(),
        format!("/users/{}x", ada.id),
        "/posts/1".to_owned(),
        "/posts/x/comments".to_owned(),
        format!("/posts/{post}/comments/1"),
        "/posts?author_id=me".to_owned(),
        "/posts?author_id=".to_owned(),
        "/posts?limit=0".to_owned(),
        "/posts?limit=101".to_owned(),
        "/posts?limit=-1".to_owned(),
        "/posts?limit=x".to_owned(),
        "/posts?limit=".to_owned(),
        "/posts?limit=1&limit=2".to_owned(),
        "/posts?limit=99999999999999999999".to_owned(),
        "/posts?cursor=".to_owned(),
        "/posts?cursor=short".to_owned(),
        format!("/posts?cursor={}", "é".repeat(24).bytes().map(|b| format!("%{b:02x}")).collect::<String>()),
        format!("/users/{}/followers?limit=1000", ada.id),
        format!("/posts/{post}/likes?cursor=!"),
        "/feed?limit=0".to_owned(),
    ] {
        assert_eq!(server.get(path.as_str()).by(&ada).send().await?.error(), (400, "InvalidRequest"), "{path}");
    }
    for key in ["short", "with a space", &"x".repeat(129), "ü-umlaut-key"] {
        let answer = server.post("/posts").by(&ada).key(key).json(&json!({ "content": "x" })).send().await?;
        assert_eq!(answer.error(), (400, "InvalidRequest"), "{key}");
    }
    assert_eq!(server.records().await?, before);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routes_and_methods_are_answered_in_the_one_shape() -> Result<()> {
    let server = TestServer::start().await?;
    for path in ["/", "/nothing", "/user", "/posts/x/y/z", "/auth", "/users/auth/renew", "/media/upload"] {
        for method in [Method::GET, Method::POST, Method::from_bytes(b"BREW")?] {
            let answer = server.call(method, path).send().await?;
            assert_eq!(answer.error(), (404, "NotFound"), "{path}");
        }
    }
    let answer = server.call(Method::PATCH, "/posts").send().await?;
    assert_eq!((answer.error(), answer.header("allow")), ((405, "MethodNotAllowed"), Some("POST,GET,HEAD,OPTIONS")));
    let problem = server.get("/users/me").header("accept", "application/problem+json, */*").send().await?;
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    assert_eq!((&problem.body["title"], &problem.body["status"]), (&json!("Unauthorized"), &json!(401)));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_request_id_and_errors_repeat_it() -> Result<()> {
    let server = TestServer::start().await?;
    let given = server.get("/nothing").header("x-request-id", "mine-1").send().await?;
    assert_eq!((given.header("x-request-id"), given.text("request_id")), (Some("mine-1"), "mine-1".to_owned()));
    let replaced = server.get("/posts").header("x-request-id", "not sane!").send().await?;
    assert_ne!(replaced.header("x-request-id"), Some("not sane!"));
    server.close().await
}
