//! Guests come and go: each registers, deletes the account, and is not let in again.

use crate::child::HttpClient;
use crate::member::Member;
use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use tokio::sync::watch;

/// One after another until they are told to stop; how many there were.
pub(super) async fn come_and_go(client: HttpClient, name: String, stop: watch::Receiver<bool>) -> Result<usize> {
    let mut guests = 0;
    while !*stop.borrow() {
        let guest = Member::register(&client, &format!("{name}_{guests}")).await?;
        leave(&client, &guest).await?;
        guests += 1;
    }
    Ok(guests)
}

async fn leave(client: &HttpClient, guest: &Member) -> Result<()> {
    let headers = [("authorization", guest.bearer.as_str())];
    loop {
        let told = client.send(Method::DELETE, "/users/me", None, &headers).await.map(|(status, _)| status);
        match told {
            Ok(StatusCode::NO_CONTENT) => break,
            // It had begun before, or some node has not said yet that it knows.
            Ok(StatusCode::UNAUTHORIZED | StatusCode::ACCEPTED) => return Ok(()),
            Ok(StatusCode::SERVICE_UNAVAILABLE) | Err(_) => client.pause().await,
            Ok(status) => anyhow::bail!("a deletion was answered {status}"),
        }
    }
    let (status, body) = client.until_answered(Method::GET, "/users/me", None, &headers).await?;
    ensure!(status == StatusCode::UNAUTHORIZED, "the token of who is deleted was answered {status} {body}");
    Ok(())
}
