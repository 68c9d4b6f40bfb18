//! Following.

use anyhow::Result;
use http::StatusCode;
use tidings_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_is_seen_from_both_sides_until_it_ends() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let path = format!("/users/{}/follow", ada.id);
    let first = server.post(path.as_str()).by(&bob).send().await?;
    let again = server.post(path.as_str()).by(&bob).send().await?;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.body, again.body);
    assert_eq!((first.text("follower_id"), first.text("followee_id")), (bob.id.clone(), ada.id.clone()));

    let seen = server.get(format!("/users/{}", ada.id)).by(&bob).send().await?;
    assert_eq!((&seen.body["follower_count"], &seen.body["viewer"]["following"]), (&1.into(), &true.into()));
    let followers = server.get(format!("/users/{}/followers", ada.id)).by(&bob).send().await?;
    assert_eq!(followers.body["users"][0]["id"], bob.id.as_str());
    let following = server.get(format!("/users/{}/following", bob.id)).by(&bob).send().await?;
    assert_eq!(following.body["users"][0]["viewer"]["following"], true);

    assert_eq!(server.delete(path.as_str()).by(&bob).send().await?.status, StatusCode::NO_CONTENT);
    assert_eq!(server.delete(path.as_str()).by(&bob).send().await?.error(), (404, "NotFound"));
    let seen = server.get(format!("/users/{}", ada.id)).by(&bob).send().await?;
    assert_eq!((&seen.body["follower_count"], &seen.body["viewer"]["following"]), (&0.into(), &false.into()));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_follows_themselves_or_nobody() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let before = server.records().await?;
    let myself = server.post(format!("/users/{}/follow", ada.id)).by(&ada).send().await?;
    assert_eq!(myself.error(), (409, "Conflict"));
    let nobody = "00000000-0000-4000-8000-000000000000";
    assert_eq!(server.post(format!("/users/{nobody}/follow")).by(&ada).send().await?.error(), (404, "NotFound"));
    for list in ["followers", "following"] {
        assert_eq!(server.get(format!("/users/{nobody}/{list}")).send().await?.error(), (404, "NotFound"));
    }
    assert_eq!(server.records().await?, before);
    server.close().await
}
