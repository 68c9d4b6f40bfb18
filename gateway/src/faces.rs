//! The people who stand beside what they wrote or did.

use crate::backend::Backend;
use crate::error::ApiError;
use events::UserId;
use projections::users::Author;
use projections::{Hidden, Text, Users};
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// A person, in short.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Author)]
pub(crate) struct Face {
    /// Who.
    id: Uuid,
    /// The name as written by its owner.
    #[serde(serialize_with = "text")]
    #[schema(schema_with = crate::schemas::username)]
    username: Text,
    /// Null: there are no uploads yet.
    #[serde(serialize_with = "text_or_null")]
    #[schema(schema_with = crate::schemas::media_url, required = true)]
    avatar_url: Option<Text>,
}

impl From<Author> for Face {
    fn from(Author { id, username, avatar_url }: Author) -> Self {
        Self { id: id.0, username, avatar_url }
    }
}

/// Several people.
pub(crate) struct Faces(HashMap<UserId, Face>);

impl Faces {
    /// `None` for whoever has no account, or is hidden.
    pub(crate) fn of(&self, user: UserId) -> Option<Face> {
        self.0.get(&user).cloned()
    }
}

impl Backend {
    /// These people, without those who are gone or hidden. Whoever is not known yet is looked for when the read model has passed the
    /// log's end: what a person did may be visible before the person is.
    pub(crate) async fn faces(&self, mut users: Vec<UserId>, hidden: &Hidden) -> Result<Faces, ApiError> {
        users.retain(|user| !hidden.hides(*user));
        users.sort_unstable();
        users.dedup();
        if !self.models.users.are_known(&users) {
            self.consistency.caught_up(&[Users::NAME]).await?;
        }
        let found = self.models.users.authors(&users).into_iter();
        Ok(Faces(found.map(|author| (author.id, author.into())).collect()))
    }

    /// One person who has an account, or had one when signing in.
    pub(crate) async fn face(&self, user: UserId) -> Result<Face, ApiError> {
        if let Some(author) = self.models.users.authors(&[user]).pop() {
            return Ok(author.into());
        }
        self.faces(vec![user], &Hidden::NOBODY).await?.of(user).ok_or_else(ApiError::bad_token)
    }
}

/// Writes a shared text.
pub(crate) fn text<S: Serializer>(text: &Text, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// Writes a shared text, or null.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
pub(crate) fn text_or_null<S: Serializer>(text: &Option<Text>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => serializer.serialize_str(text),
        None => serializer.serialize_none(),
    }
}

/// Writes shared texts.
pub(crate) fn texts<S: Serializer>(texts: &Arc<[Text]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| &**text))
}
