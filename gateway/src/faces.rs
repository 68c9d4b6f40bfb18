//! The people who stand beside what they wrote or did.

use crate::backend::Backend;
use crate::error::ApiError;
use events::UserId;
use projections::users::Author;
use projections::{Hidden, Text, users};
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

/// The faces that are remembered of those who write: so many can go on while the read model is away.
pub(crate) const KNOWN_MAX: usize = 100_000;

/// Several people.
pub(crate) struct Faces(HashMap<UserId, Face>);

impl Faces {
    pub(crate) fn one(user: UserId, face: Face) -> Self {
        Self(HashMap::from([(user, face)]))
    }

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
        let mut found = self.models.users.authors(&users).await?;
        if found.len() < users.len() && !self.models.users.are_known(&users).await? {
            self.consistency.caught_up(&[users::NAME]).await?;
            found = self.models.users.authors(&users).await?;
        }
        Ok(Faces(found.into_iter().map(|author| (author.id, author.into())).collect()))
    }

    /// One person who has an account, or had one when signing in.
    pub(crate) async fn face(&self, user: UserId) -> Result<Face, ApiError> {
        match self.models.users.authors(&[user]).await {
            Ok(mut found) => match found.pop() {
                Some(author) => Ok(self.known_face(author)),
                None => self.faces(vec![user], &Hidden::NOBODY).await?.of(user).ok_or_else(ApiError::bad_token),
            },
            // What they have just written is answered with the name that they had.
            Err(why) => Ok(self.known_faces.with(&user, |face| face.clone()).ok_or(why)?),
        }
    }

    /// Their face is known from now on, also while the read model is away.
    pub(crate) fn known_face(&self, author: Author) -> Face {
        let (user, face) = (author.id, Face::from(author));
        self.known_faces.insert(user, face.clone());
        face
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
