//! The statements of a stage. Each makes all changes of one kind, from arrays.

use super::super::VERSIONS_KEPT_MAX;
use super::super::change::Body;
use super::stages::{Comment, Stage, Written};
use crate::postgres::{At, Fate, number, time};
use crate::text::Text;
use events::{CommentId, PostId, Timestamp, UserId};
use sqlx::{Error, PgConnection, query, query_scalar};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Rows of one table that are hidden in one transaction.
const HIDDEN_AT_ONCE_MAX: usize = 10_000;

impl Stage {
    /// Writes it, in the order that [`Stage::all`] relies on.
    pub(super) async fn write(&self, transaction: &mut PgConnection) -> Result<(), Error> {
        write_posts(transaction, &self.written).await?;
        publish_drafts(transaction, &self.drafts_published).await?;
        edit(transaction, &self.edited).await?;
        hide_posts(transaction, &ids(&self.unreadable)).await?;
        tag(transaction, self.retagged().map(|post| post.0).collect()).await?;
        write_comments(transaction, &self.comments).await?;
        write_likes(transaction, &self.likes).await?;
        delete(transaction, &ids(&self.deleted)).await
    }
}

fn ids(posts: &[PostId]) -> Vec<Uuid> {
    posts.iter().map(|post| post.0).collect()
}

/// What authors wrote, as columns. There is no array of arrays of different lengths, so lists come as text with blanks, of
/// which neither a hashtag nor an id has any.
#[derive(Default)]
struct Bodies<'a> {
    contents: Vec<&'a str>,
    hashtags: Vec<String>,
    mentions: Vec<String>,
}

impl<'a> Bodies<'a> {
    fn push(&mut self, body: Option<&'a Body>) {
        let content = body.map_or("", |body| &*body.content);
        let hashtags = body.iter().flat_map(|body| &*body.hashtags).map(|tag| &**tag).collect::<Vec<_>>();
        let mentions = body.iter().flat_map(|body| &*body.mentions).map(UserId::to_string).collect::<Vec<_>>();
        self.contents.push(content);
        self.hashtags.push(hashtags.join(" "));
        self.mentions.push(mentions.join(" "));
    }
}

/// What is there already stays as it is.
async fn write_posts(transaction: &mut PgConnection, all: &[Written]) -> Result<(), Error> {
    if all.is_empty() {
        return Ok(());
    }
    let mut bodies = Bodies::default();
    all.iter().for_each(|written| bodies.push(written.body.as_ref()));
    query(
        "insert into posts (id, author_id, draft, content, hashtags, mentions, status, created_at) \
         select id, author, draft, \
             case when shown then content else '' end, \
             case when shown then string_to_array(hashtags, ' ') else '{}' end, \
             case when shown then string_to_array(mentions, ' ')::uuid[] else '{}' end, \
             case when not shown then 'DELETED' when draft then 'DRAFT' else 'PUBLISHED' end, at \
         from (select *, readable and not exists (select from gone where user_id = author) as shown \
             from unnest($1::uuid[], $2::uuid[], $3::bool[], $4::bool[], $5::text[], $6::text[], $7::text[], \
                 $8::timestamptz[]) as w (id, author, draft, readable, content, hashtags, mentions, at)) as written \
         on conflict do nothing",
    )
    .bind(all.iter().map(|it| it.post.0).collect::<Vec<_>>())
    .bind(all.iter().map(|it| it.author.0).collect::<Vec<_>>())
    .bind(all.iter().map(|it| it.draft).collect::<Vec<_>>())
    .bind(all.iter().map(|it| it.body.is_some()).collect::<Vec<_>>())
    .bind(bodies.contents)
    .bind(bodies.hashtags)
    .bind(bodies.mentions)
    .bind(all.iter().map(|it| time(it.at)).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}

async fn publish_drafts(transaction: &mut PgConnection, all: &[(PostId, Timestamp)]) -> Result<(), Error> {
    if all.is_empty() {
        return Ok(());
    }
    query(
        "update posts set draft = false, created_at = at, \
             status = case status when 'DRAFT' then 'PUBLISHED' else status end \
         from unnest($1::uuid[], $2::timestamptz[]) as published (post, at) where id = post and draft",
    )
    .bind(all.iter().map(|(post, _)| post.0).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, at)| time(*at)).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}

/// What was there becomes the newest of the earlier versions.
async fn edit(transaction: &mut PgConnection, all: &[(PostId, Body, Timestamp)]) -> Result<(), Error> {
    if all.is_empty() {
        return Ok(());
    }
    let posts = all.iter().map(|(post, ..)| post.0).collect::<Vec<_>>();
    let mut bodies = Bodies::default();
    all.iter().for_each(|(_, body, _)| bodies.push(Some(body)));
    query(
        "insert into post_versions (post_id, number, content, hashtags, mentions, created_at) \
         select id, version, content, hashtags, mentions, coalesce(edited_at, created_at) from posts \
         where id = any($1) and status <> 'DELETED'",
    )
    .bind(&posts)
    .execute(&mut *transaction)
    .await?;
    query(
        "update posts set version = version + 1, edited_at = at, content = written, \
             hashtags = string_to_array(tags, ' '), mentions = string_to_array(people, ' ')::uuid[] \
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) \
             as edited (post, written, tags, people, at) \
         where id = post and status <> 'DELETED'",
    )
    .bind(&posts)
    .bind(bodies.contents)
    .bind(bodies.hashtags)
    .bind(bodies.mentions)
    .bind(all.iter().map(|(.., at)| time(*at)).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await?;
    query(
        "delete from post_versions using posts \
         where id = any($1) and post_id = id and number <= version - $2",
    )
    .bind(&posts)
    .bind(number(VERSIONS_KEPT_MAX as u64))
    .execute(transaction)
    .await
    .map(drop)
}

/// Of what nobody is shown any more no text is kept; the post is there until it is deleted.
async fn hide_posts(transaction: &mut PgConnection, posts: &[Uuid]) -> Result<(), Error> {
    if posts.is_empty() {
        return Ok(());
    }
    query("update posts set status = 'DELETED', content = '', hashtags = '{}', mentions = '{}' where id = any($1)")
        .bind(posts)
        .execute(&mut *transaction)
        .await?;
    query("delete from post_versions where post_id = any($1)").bind(posts).execute(&mut *transaction).await?;
    query("delete from hashtags where post_id = any($1)").bind(posts).execute(transaction).await.map(drop)
}

async fn tag(transaction: &mut PgConnection, posts: Vec<Uuid>) -> Result<(), Error> {
    if posts.is_empty() {
        return Ok(());
    }
    query("delete from hashtags where post_id = any($1)").bind(&posts).execute(&mut *transaction).await?;
    query(
        "insert into hashtags (tag, created_at, post_id) \
         select sha256(convert_to(tag, 'UTF8')), created_at, id from posts, unnest(posts.hashtags) as tag \
         where id = any($1) and status = 'PUBLISHED'",
    )
    .bind(&posts)
    .execute(transaction)
    .await
    .map(drop)
}

async fn write_comments(
    transaction: &mut PgConnection,
    all: &BTreeMap<(PostId, CommentId), Fate<Comment>>,
) -> Result<(), Error> {
    let removed = all.iter().filter(|(_, it)| it.removed).map(|((post, comment), _)| (post.0, comment.0));
    let (posts, comments): (Vec<Uuid>, Vec<Uuid>) = removed.unzip();
    if !posts.is_empty() {
        query(
            "with removed as (delete from comments using unnest($1::uuid[], $2::uuid[]) as r (post, comment) \
                 where post_id = post and id = comment returning post_id, hidden) \
             update posts set comments_count = comments_count - n \
             from (select post_id, count(*) as n from removed where not hidden group by post_id) as counted \
             where id = post_id",
        )
        .bind(posts)
        .bind(comments)
        .execute(&mut *transaction)
        .await?;
    }
    let added = all.iter().filter_map(|((post, comment), it)| Some((post, comment, it.added.as_ref()?)));
    let added = added.collect::<Vec<_>>();
    if added.is_empty() {
        return Ok(());
    }
    // Nothing can lie under a draft.
    query(
        "with added as (insert into comments (post_id, id, author_id, post_author_id, text, hidden, created_at) \
             select post, comment, author, author_id, case when hidden then '' else said end, hidden, at \
             from (select *, not readable or exists (select from gone where user_id = author) as hidden \
                 from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bool[], $5::text[], $6::timestamptz[]) \
                     as c (post, comment, author, readable, said, at)) as commented \
             join posts on posts.id = post and not draft \
             on conflict do nothing returning post_id, hidden) \
         update posts set comments_count = comments_count + n \
         from (select post_id, count(*) as n from added where not hidden group by post_id) as counted \
         where id = post_id",
    )
    .bind(added.iter().map(|(post, ..)| post.0).collect::<Vec<_>>())
    .bind(added.iter().map(|(_, comment, _)| comment.0).collect::<Vec<_>>())
    .bind(added.iter().map(|(.., it)| it.author.0).collect::<Vec<_>>())
    .bind(added.iter().map(|(.., it)| it.text.is_some()).collect::<Vec<_>>())
    .bind(added.iter().map(|(.., it)| it.text.as_ref().map_or("", |text: &Text| text)).collect::<Vec<_>>())
    .bind(added.iter().map(|(.., it)| time(it.at)).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}

async fn write_likes(
    transaction: &mut PgConnection,
    all: &BTreeMap<(PostId, UserId), Fate<Timestamp>>,
) -> Result<(), Error> {
    let removed = all.iter().filter(|(_, it)| it.removed).map(|((post, user), _)| (post.0, user.0));
    let (posts, users): (Vec<Uuid>, Vec<Uuid>) = removed.unzip();
    if !posts.is_empty() {
        query(
            "with removed as (delete from likes using unnest($1::uuid[], $2::uuid[]) as r (post, person) \
                 where post_id = post and user_id = person returning post_id, hidden) \
             update posts set likes_count = likes_count - n \
             from (select post_id, count(*) as n from removed where not hidden group by post_id) as counted \
             where id = post_id",
        )
        .bind(posts)
        .bind(users)
        .execute(&mut *transaction)
        .await?;
    }
    let added = all.iter().filter_map(|((post, user), it)| Some((post.0, user.0, time(it.added?))));
    let added: Vec<(Uuid, Uuid, At)> = added.collect();
    if added.is_empty() {
        return Ok(());
    }
    query(
        "with added as (insert into likes (post_id, user_id, post_author_id, hidden, created_at) \
             select post, person, author_id, exists (select from gone where gone.user_id = person), at \
             from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as l (post, person, at) \
             join posts on posts.id = post and not draft \
             on conflict do nothing returning post_id, hidden) \
         update posts set likes_count = likes_count + n \
         from (select post_id, count(*) as n from added where not hidden group by post_id) as counted \
         where id = post_id",
    )
    .bind(added.iter().map(|(post, ..)| *post).collect::<Vec<_>>())
    .bind(added.iter().map(|(_, user, _)| *user).collect::<Vec<_>>())
    .bind(added.iter().map(|(.., at)| *at).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}

/// With all that lies under them.
async fn delete(transaction: &mut PgConnection, posts: &[Uuid]) -> Result<(), Error> {
    if posts.is_empty() {
        return Ok(());
    }
    query("delete from posts where id = any($1)").bind(posts).execute(transaction).await.map(drop)
}

/// From now on whatever they write is hidden.
pub(super) async fn note_gone(transaction: &mut PgConnection, users: &[Uuid]) -> Result<(), Error> {
    query("insert into gone select * from unnest($1::uuid[]) on conflict do nothing")
        .bind(users)
        .execute(transaction)
        .await
        .map(drop)
}

/// Hides a part of what they have left so far. Returns how much that was; nothing is left if it was nothing.
pub(super) async fn hide_some_of(transaction: &mut PgConnection, users: &[Uuid]) -> Result<u64, Error> {
    let max = number(HIDDEN_AT_ONCE_MAX as u64);
    let posts = query_scalar("select id from posts where author_id = any($1) and status <> 'DELETED' limit $2");
    let posts: Vec<Uuid> = posts.bind(users).bind(max).fetch_all(&mut *transaction).await?;
    hide_posts(transaction, &posts).await?;
    let comments = query_scalar(
        "with part as (select post_id, id from comments where author_id = any($1) and not hidden limit $2), \
             hidden as (update comments set hidden = true, text = '' from part \
                 where comments.post_id = part.post_id and comments.id = part.id returning comments.post_id), \
             counted as (select post_id, count(*) as n from hidden group by post_id), \
             changed as (update posts set comments_count = comments_count - n from counted where id = post_id) \
         select count(*) from hidden",
    );
    let comments: i64 = comments.bind(users).bind(max).fetch_one(&mut *transaction).await?;
    let likes = query_scalar(
        "with part as (select post_id, user_id from likes where user_id = any($1) and not hidden limit $2), \
             hidden as (update likes set hidden = true from part \
                 where likes.post_id = part.post_id and likes.user_id = part.user_id returning likes.post_id), \
             counted as (select post_id, count(*) as n from hidden group by post_id), \
             changed as (update posts set likes_count = likes_count - n from counted where id = post_id) \
         select count(*) from hidden",
    );
    let likes: i64 = likes.bind(users).bind(max).fetch_one(transaction).await?;
    Ok(posts.len() as u64 + comments.unsigned_abs() + likes.unsigned_abs())
}
