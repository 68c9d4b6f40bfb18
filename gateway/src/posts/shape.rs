//! A post as it is shown.

use crate::backend::Backend;
use crate::error::ApiError;
use crate::faces::{Face, Faces, text, text_or_null, texts};
use events::{Timestamp, UserId};
use futures::future::try_join;
use projections::{Hidden, Text, posts};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// A post.
#[derive(Serialize, ToSchema)]
pub(crate) struct Post {
    /// Of its content, for its tag.
    #[serde(skip)]
    pub(crate) version: u64,
    /// Which.
    pub(crate) id: Uuid,
    /// Who wrote it.
    author_id: Uuid,
    /// Who wrote it, in short.
    author: Face,
    /// What it says.
    #[serde(serialize_with = "text")]
    #[schema(schema_with = crate::schemas::content)]
    content: Text,
    /// Null: there are no uploads yet.
    #[serde(serialize_with = "text_or_null")]
    #[schema(schema_with = crate::schemas::media_url, required = true)]
    media_url: Option<Text>,
    /// Folded, distinct, in the order of first appearance.
    #[serde(serialize_with = "texts")]
    #[schema(value_type = Vec<String>)]
    hashtags: Arc<[Text]>,
    /// Whom it mentions and the reader may see: distinct, in the order of first appearance.
    mentions: Vec<Face>,
    /// Where it stands.
    status: PostStatus,
    /// How many people like it.
    likes_count: usize,
    /// How many comments lie under it.
    comments_count: usize,
    /// Whether the reader likes it; false without a token.
    liked_by_me: bool,
    /// When it was published.
    #[schema(schema_with = crate::schemas::time)]
    created_at: Timestamp,
    /// When its content was replaced last; null if never.
    #[schema(schema_with = crate::schemas::time_or_null, required = true)]
    edited_at: Option<Timestamp>,
}

/// Where a post stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum PostStatus {
    /// It is being created; only its author can see it.
    Draft,
    /// Everybody can see it.
    Published,
}

impl Backend {
    /// One post as `viewer` sees it.
    pub(crate) async fn shape_post(
        &self,
        viewer: Option<UserId>,
        post: posts::Post,
        hidden: &Hidden,
    ) -> Result<Post, ApiError> {
        let shown = self.shape_posts(viewer, vec![post], hidden).await?.pop();
        shown.ok_or_else(|| ApiError::not_found("post"))
    }

    /// Posts as `viewer` sees them. Those whose author has no account, or is hidden, are left out.
    pub(crate) async fn shape_posts(
        &self,
        viewer: Option<UserId>,
        posts: Vec<posts::Post>,
        hidden: &Hidden,
    ) -> Result<Vec<Post>, ApiError> {
        let ids = posts.iter().map(|post| post.id).collect::<Vec<_>>();
        let liked = async {
            match viewer {
                Some(viewer) => Ok(self.models.posts.liked(viewer, &ids).await?),
                None => Ok(vec![false; ids.len()]),
            }
        };
        let (liked, faces) = try_join(liked, self.faces_of(&posts, hidden)).await?;
        let shown = posts.into_iter().zip(liked);
        Ok(shown.filter_map(|(post, liked)| Post::of(post, liked, &faces)).collect())
    }

    /// A post that its author has written a moment ago, so that nobody likes it yet. The read model of posts is not asked.
    pub(crate) async fn shape_new_post(&self, post: posts::Post) -> Result<Post, ApiError> {
        let author = post.author;
        let faces = if post.mentions.is_empty() {
            Faces::one(author, self.face(author).await?)
        } else {
            self.faces_of(std::slice::from_ref(&post), &self.hidden_from(Some(author)).await?).await?
        };
        Post::of(post, false, &faces).ok_or_else(|| ApiError::not_found("post"))
    }

    /// The people who belong to posts.
    async fn faces_of(&self, posts: &[posts::Post], hidden: &Hidden) -> Result<Faces, ApiError> {
        let people = posts.iter().flat_map(|post| std::iter::once(&post.author).chain(&*post.mentions));
        self.faces(people.copied().collect(), hidden).await
    }
}

impl Post {
    fn of(post: posts::Post, liked_by_me: bool, faces: &Faces) -> Option<Self> {
        Some(Self {
            version: post.version,
            id: post.id.0,
            author_id: post.author.0,
            author: faces.of(post.author)?,
            content: post.content,
            media_url: None,
            hashtags: post.hashtags,
            mentions: post.mentions.iter().filter_map(|user| faces.of(*user)).collect(),
            status: if post.draft { PostStatus::Draft } else { PostStatus::Published },
            likes_count: post.likes_count,
            comments_count: post.comments_count,
            liked_by_me,
            created_at: post.created_at,
            edited_at: post.edited_at,
        })
    }
}
