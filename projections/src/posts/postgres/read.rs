//! The questions. Each is one statement, and where much is hidden from the reader a few.

use super::super::{Comment, Like, Post, Posts, Traces, VERSIONS_KEPT_MAX, Version};
use super::PostgresPosts;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page};
use crate::postgres::{At, Of, Rows, at, column, count, number, read, text, time};
use crate::read_model::Unavailable;
use crate::text::Text;
use async_trait::async_trait;
use events::{CommentId, PostId, Timestamp, UserId};
use pool::Pool;
use sqlx::postgres::PgRow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// A query for posts. Columns are named, so that a migration which adds one changes no query under way.
macro_rules! posts {
    ($from:literal) => {
        concat!(
            "select posts.id, posts.author_id, posts.version, posts.content, posts.hashtags, posts.mentions, posts.draft, \
                 posts.created_at, posts.edited_at, posts.likes_count, posts.comments_count from ",
            $from
        )
    };
}

/// The same for comments.
macro_rules! comments {
    ($from:literal) => {
        concat!(
            "select comments.id, comments.post_id, comments.author_id, comments.text, comments.created_at from ",
            $from
        )
    };
}

/// Those of `$1` that `$2` may see.
const SEEN: &str = posts!("posts where id = any($1) and (status = 'PUBLISHED' or status = 'DRAFT' and author_id = $2)");
const LATEST: &str = posts!(
    "posts where status = 'PUBLISHED' and (created_at, id) < ($1, $2) order by created_at desc, id desc limit $3"
);
const LATEST_OF: &str = posts!(
    "posts where status = 'PUBLISHED' and author_id = $4 and (created_at, id) < ($1, $2) \
     order by created_at desc, id desc limit $3"
);
const TAGGED: &str = posts!(
    "hashtags join posts on id = post_id where tag = sha256(convert_to($4, 'UTF8')) and (hashtags.created_at, post_id) < ($1, $2) \
     order by hashtags.created_at desc, post_id desc limit $3"
);
const COMMENTS: &str = comments!(
    "comments where post_id = $4 and not hidden and (created_at, id) > ($1, $2) \
         and exists (select from posts where id = $4 and status = 'PUBLISHED') \
     order by created_at, id limit $3"
);
const COMMENT: &str = comments!(
    "comments join posts on posts.id = post_id \
     where post_id = $1 and comments.id = $2 and not hidden and status = 'PUBLISHED'"
);
const LIKES: &str = "select user_id, created_at from likes \
    where post_id = $4 and not hidden and (created_at, user_id) < ($1, $2) \
        and exists (select from posts where id = $4 and status = 'PUBLISHED') \
    order by created_at desc, user_id desc limit $3";

impl PostgresPosts {
    async fn pool(&self) -> Result<&Pool, Unavailable> {
        self.batches.database.reads().await
    }

    async fn newest(
        &self,
        sql: &'static str,
        of: Of<'_>,
        page: Page,
        hidden: &Hidden,
    ) -> Result<Listing<Post>, Unavailable> {
        let item = |row: &PgRow| {
            let post = post(row)?;
            Ok(((post.created_at, post.id.0), (!hidden.hides(post.author)).then_some(post)))
        };
        Rows { pool: self.pool().await?, sql, of, oldest_first: false }.page(page, item).await
    }
}

#[async_trait]
impl Posts for PostgresPosts {
    async fn post(&self, post: PostId, viewer: Option<UserId>) -> Result<Option<Post>, Unavailable> {
        Ok(self.posts(&[post], viewer).await?.pop())
    }

    async fn posts(&self, posts: &[PostId], viewer: Option<UserId>) -> Result<Vec<Post>, Unavailable> {
        if posts.is_empty() {
            return Ok(Vec::new());
        }
        let ids = posts.iter().map(|post| post.0).collect::<Vec<_>>();
        let rows = sqlx::query(SEEN).bind(ids).bind(viewer.map(|viewer| viewer.0)).fetch_all(self.pool().await?);
        let rows = read(rows).await?;
        let found = rows.iter().map(|row| post(row).map(|post| (post.id, post)));
        let found = found.collect::<Result<HashMap<_, _>, _>>()?;
        Ok(posts.iter().filter_map(|post| found.get(post).cloned()).collect())
    }

    async fn latest(&self, author: Option<UserId>, page: Page, hidden: &Hidden) -> Result<Listing<Post>, Unavailable> {
        match author {
            None => self.newest(LATEST, Of::All, page, hidden).await,
            Some(author) if hidden.hides(author) => Ok(Listing::default()),
            Some(author) => self.newest(LATEST_OF, Of::Id(author.0), page, hidden).await,
        }
    }

    async fn tagged(&self, tag: &str, page: Page, hidden: &Hidden) -> Result<Listing<Post>, Unavailable> {
        self.newest(TAGGED, Of::Text(tag), page, hidden).await
    }

    async fn versions(&self, post: PostId, author: UserId, page: Page) -> Result<Listing<Version>, Unavailable> {
        // So few are kept that all are read.
        let rows = sqlx::query(
            "select version as number, content, hashtags, mentions, coalesce(edited_at, created_at) as created_at \
             from posts where id = $1 and author_id = $2 and status <> 'DELETED' \
             union all \
             select number, v.content, v.hashtags, v.mentions, v.created_at from post_versions as v \
             join posts on id = post_id where id = $1 and author_id = $2 and status <> 'DELETED' \
             order by number desc limit $3",
        );
        let rows =
            rows.bind(post.0).bind(author.0).bind(number(VERSIONS_KEPT_MAX as u64)).fetch_all(self.pool().await?);
        let versions = read(rows).await?.iter().map(version).collect::<Result<Vec<_>, _>>()?;
        let versions = versions.into_iter().map(|version| {
            let place = (version.created_at, Uuid::from_u128(version.number.into()));
            (place, version)
        });
        Ok(Listing::of_items(page, versions.filter(|(place, _)| page.after.is_none_or(|after| *place < after))))
    }

    async fn acts(
        &self,
        user: UserId,
        authors: &[UserId],
        since: Timestamp,
        max: usize,
    ) -> Result<Vec<(usize, usize)>, Unavailable> {
        let rows = sqlx::query(
            "select (select count(*) from (select from likes where user_id = $1 and post_author_id = author \
                     and author <> $1 and created_at >= $3 limit $4) as l) as likes, \
                 (select count(*) from (select from comments where author_id = $1 and post_author_id = author \
                     and author <> $1 and created_at >= $3 limit $4) as c) as comments \
             from unnest($2::uuid[]) with ordinality as a (author, n) order by n",
        );
        let ids = authors.iter().map(|author| author.0).collect::<Vec<_>>();
        let rows = rows.bind(user.0).bind(ids).bind(time(since)).bind(number(max as u64)).fetch_all(self.pool().await?);
        read(rows).await?.iter().map(|row| Ok((count(row, "likes")?, count(row, "comments")?))).collect()
    }

    async fn counts_of(&self, authors: &[UserId]) -> Result<Vec<usize>, Unavailable> {
        if authors.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "select (select count(*) from posts where author_id = author and status = 'PUBLISHED') as posts \
             from unnest($1::uuid[]) with ordinality as a (author, n) order by n",
        );
        let ids = authors.iter().map(|author| author.0).collect::<Vec<_>>();
        read(rows.bind(ids).fetch_all(self.pool().await?)).await?.iter().map(|row| count(row, "posts")).collect()
    }

    async fn comments(&self, post: PostId, page: Page, hidden: &Hidden) -> Result<Listing<Comment>, Unavailable> {
        let item = |row: &PgRow| {
            let comment = comment(row)?;
            Ok(((comment.created_at, comment.id.0), (!hidden.hides(comment.author)).then_some(comment)))
        };
        Rows { pool: self.pool().await?, sql: COMMENTS, of: Of::Id(post.0), oldest_first: true }.page(page, item).await
    }

    async fn comment(&self, post: PostId, comment: CommentId) -> Result<Option<Comment>, Unavailable> {
        let row = sqlx::query(COMMENT).bind(post.0).bind(comment.0).fetch_optional(self.pool().await?);
        let row = read(row).await?;
        row.as_ref().map(self::comment).transpose()
    }

    async fn likes(&self, post: PostId, page: Page, hidden: &Hidden) -> Result<Listing<Like>, Unavailable> {
        let item = |row: &PgRow| {
            let like = Like { post, user: UserId(column(row, "user_id")?), created_at: at(row, "created_at")? };
            Ok(((like.created_at, like.user.0), (!hidden.hides(like.user)).then_some(like)))
        };
        Rows { pool: self.pool().await?, sql: LIKES, of: Of::Id(post.0), oldest_first: false }.page(page, item).await
    }

    async fn liked(&self, user: UserId, posts: &[PostId]) -> Result<Vec<bool>, Unavailable> {
        if posts.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query_scalar(
            "select post_id from likes join posts on id = post_id \
             where post_id = any($1) and user_id = $2 and not hidden and status = 'PUBLISHED'",
        );
        let ids = posts.iter().map(|post| post.0).collect::<Vec<_>>();
        let liked: Vec<Uuid> = read(rows.bind(ids).bind(user.0).fetch_all(self.pool().await?)).await?;
        let liked = liked.into_iter().collect::<HashSet<_>>();
        Ok(posts.iter().map(|post| liked.contains(&post.0)).collect())
    }

    async fn traces(&self, user: UserId, limit: usize) -> Result<Traces, Unavailable> {
        // One statement, so that a draft which is published meanwhile is one or the other.
        let rows = sqlx::query(
            "(select 0 as kind, id as post, null::uuid as comment from posts where author_id = $1 and not draft limit $2) \
             union all (select 1, post_id, id from comments where author_id = $1 and post_author_id <> $1 limit $2) \
             union all (select 2, post_id, null from likes where user_id = $1 and post_author_id <> $1 limit $2) \
             union all (select 3, id, null from posts where author_id = $1 and draft limit $2) \
             order by kind limit $2",
        );
        let rows = rows.bind(user.0).bind(number(limit as u64)).fetch_all(self.pool().await?);
        let mut traces = Traces::default();
        for row in &read(rows).await? {
            let post = PostId(column(row, "post")?);
            match column::<i32>(row, "kind")? {
                0 => traces.posts.push(post),
                1 => traces.comments.push((post, CommentId(column(row, "comment")?))),
                2 => traces.likes.push(post),
                _ => traces.drafts.push(post),
            }
        }
        Ok(traces)
    }
}

fn hashtags(row: &PgRow) -> Result<Arc<[Text]>, Unavailable> {
    Ok(column::<Vec<String>>(row, "hashtags")?.iter().map(|tag| tag.as_str().into()).collect())
}

fn mentions(row: &PgRow) -> Result<Arc<[UserId]>, Unavailable> {
    Ok(column::<Vec<Uuid>>(row, "mentions")?.into_iter().map(UserId).collect())
}

fn post(row: &PgRow) -> Result<Post, Unavailable> {
    Ok(Post {
        id: PostId(column(row, "id")?),
        author: UserId(column(row, "author_id")?),
        version: count(row, "version")?,
        content: text(row, "content")?,
        hashtags: hashtags(row)?,
        mentions: mentions(row)?,
        draft: column(row, "draft")?,
        created_at: at(row, "created_at")?,
        edited_at: column::<Option<At>>(row, "edited_at")?.map(Timestamp::from),
        likes_count: count(row, "likes_count")?,
        comments_count: count(row, "comments_count")?,
    })
}

fn version(row: &PgRow) -> Result<Version, Unavailable> {
    Ok(Version {
        number: count(row, "number")?,
        content: text(row, "content")?,
        hashtags: hashtags(row)?,
        mentions: mentions(row)?,
        created_at: at(row, "created_at")?,
    })
}

fn comment(row: &PgRow) -> Result<Comment, Unavailable> {
    Ok(Comment {
        id: CommentId(column(row, "id")?),
        post: PostId(column(row, "post_id")?),
        author: UserId(column(row, "author_id")?),
        text: text(row, "text")?,
        created_at: at(row, "created_at")?,
    })
}
