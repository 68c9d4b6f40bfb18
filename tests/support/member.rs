//! Somebody who has registered over HTTP, with the real program.

use crate::child::HttpClient;
use anyhow::{Context, Result, ensure};
use events::UserId;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery";

/// See the module.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub id: UserId,
    /// The address.
    pub email: String,
    /// The value of `Authorization`.
    pub bearer: String,
}

impl Member {
    /// Registers somebody, asking until there is an answer.
    pub async fn register(client: &HttpClient, name: &str) -> Result<Self> {
        let email = format!("{name}@example.com");
        let body = json!({ "email": email, "password": PASSWORD, "username": name });
        let key = format!("register-{name}");
        let headers = [("idempotency-key", key.as_str())];
        let (status, session) =
            client.until_answered(Method::POST, "/users/auth/register", Some(&body), &headers).await?;
        ensure!(status == StatusCode::CREATED, "{name} was not registered: {status} {session}");
        let text = |field: &str| session[field].as_str().with_context(|| format!("no {field} in {session}"));
        Ok(Self { id: text("id")?.parse()?, email, bearer: format!("Bearer {}", text("access_token")?) })
    }

    /// What a login of theirs says.
    pub fn login(&self) -> Value {
        json!({ "email": self.email, "password": PASSWORD })
    }
}
