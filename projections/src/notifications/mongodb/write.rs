//! The statements of a batch. Each command makes all changes of one kind.

use super::batch::{Batch, Told};
use crate::mongodb::{Refused, id, run, time};
use crate::notifications::{Deed, NotificationId};
use crate::read_model::Unavailable;
use ::mongodb::bson::oid::ObjectId;
use ::mongodb::bson::{Document, doc};
use ::mongodb::{ClientSession, Database};
use events::{PostId, UserId};
use futures::TryStreamExt;
use std::collections::{BTreeSet, HashMap, HashSet};

pub(super) const NOTIFICATIONS: &str = "notifications";
const POST_AUTHORS: &str = "post_authors";
const GONE: &str = "gone";

impl Batch {
    /// Writes it, but for who is gone, in this transaction.
    pub(super) async fn write(&self, transaction: &mut ClientSession, database: &Database) -> Result<(), Refused> {
        self.write_authors(transaction, database).await?;
        self.take_back(transaction, database).await?;
        self.tell(transaction, database).await?;
        self.delete(transaction, database).await
    }

    async fn write_authors(&self, transaction: &mut ClientSession, database: &Database) -> Result<(), Refused> {
        let statements = self.published.iter().map(|(post, author)| {
            let author = doc! { "$setOnInsert": { "author_id": author.to_string() } };
            doc! { "q": { "_id": post.to_string() }, "u": author, "upsert": true }
        });
        run(transaction, database, ("update", POST_AUTHORS), statements.collect()).await
    }

    async fn take_back(&self, transaction: &mut ClientSession, database: &Database) -> Result<(), Refused> {
        let taken_back = self.outcomes.iter().filter_map(|(id, outcome)| Some((id, outcome.taken_back?)));
        let statements = taken_back
            .map(|(id, since)| doc! { "q": { "_id": object(*id), "created_at_us": { "$gte": since.0 } }, "limit": 1 });
        run(transaction, database, ("delete", NOTIFICATIONS), statements.collect()).await
    }

    /// What is there already stays as it is.
    async fn tell(&self, transaction: &mut ClientSession, database: &Database) -> Result<(), Refused> {
        let stored = authors(transaction, database, &self.posts_of_others()).await?;
        let hearer = |deed| match deed {
            Deed::Follow { followee } => Some(followee),
            Deed::Like { post } => self.published.get(&post).or_else(|| stored.get(&post)).copied(),
        };
        let told = self.outcomes.iter().filter_map(|(id, outcome)| {
            let told = outcome.told.as_ref()?;
            Some((id, told, hearer(told.deed).filter(|hearer| *hearer != told.actor)?))
        });
        let told = told.collect::<Vec<_>>();
        let people = told.iter().flat_map(|(_, told, hearer)| [told.actor, *hearer]).collect();
        let gone = gone(transaction, database, &people).await?;
        let told = told.into_iter().filter(|(_, told, hearer)| !gone.contains(&told.actor) && !gone.contains(hearer));
        let statements = told.map(|(id, told, hearer)| {
            let notification = doc! { "$setOnInsert": document(told, hearer) };
            doc! { "q": { "_id": object(*id) }, "u": notification, "upsert": true }
        });
        run(transaction, database, ("update", NOTIFICATIONS), statements.collect()).await
    }

    async fn delete(&self, transaction: &mut ClientSession, database: &Database) -> Result<(), Refused> {
        let deleted = |field: &str| {
            let all = self.deleted.iter().map(|post| doc! { "q": { field: post.to_string() }, "limit": 0 });
            all.collect::<Vec<_>>()
        };
        run(transaction, database, ("delete", NOTIFICATIONS), deleted("post_id")).await?;
        run(transaction, database, ("delete", POST_AUTHORS), deleted("_id")).await
    }
}

fn object(id: NotificationId) -> ObjectId {
    ObjectId::from_bytes(id.0)
}

fn document(Told { actor, deed, at }: &Told, hearer: UserId) -> Document {
    let mut document = doc! {
        "target_user_id": hearer.to_string(),
        "actor_user_id": actor.to_string(),
        "type": deed.kind(),
        "is_read": false,
        "created_at": time(*at),
        "created_at_us": at.0,
    };
    if let Some(post) = deed.post() {
        document.insert("post_id", post.to_string());
    }
    document
}

/// The authors of those of the posts that there are.
async fn authors(
    transaction: &mut ClientSession,
    database: &Database,
    posts: &BTreeSet<PostId>,
) -> Result<HashMap<PostId, UserId>, Refused> {
    let found = find(transaction, database, POST_AUTHORS, posts).await?;
    let author = |it: &Document| Ok((PostId(id(it, "_id")?), UserId(id(it, "author_id")?)));
    Ok(found.iter().map(author).collect::<Result<_, Unavailable>>()?)
}

/// Those of these people who are gone.
async fn gone(
    transaction: &mut ClientSession,
    database: &Database,
    people: &BTreeSet<UserId>,
) -> Result<HashSet<UserId>, Refused> {
    let found = find(transaction, database, GONE, people).await?;
    Ok(found.iter().map(|it| id(it, "_id").map(UserId)).collect::<Result<_, Unavailable>>()?)
}

async fn find(
    transaction: &mut ClientSession,
    database: &Database,
    collection: &str,
    ids: &BTreeSet<impl ToString>,
) -> Result<Vec<Document>, Refused> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let collection = database.collection::<Document>(collection);
    let mut found = collection.find(doc! { "_id": { "$in": ids } }).session(&mut *transaction).await?;
    Ok(found.stream(transaction).try_collect().await?)
}

/// From now on nothing is to be heard of them, nor by them.
pub(super) async fn note_gone(
    transaction: &mut ClientSession,
    database: &Database,
    users: &[UserId],
) -> Result<(), Refused> {
    let noted = users.iter().map(|user| {
        let for_good = doc! { "$setOnInsert": { "for_good": true } };
        doc! { "q": { "_id": user.to_string() }, "u": for_good, "upsert": true }
    });
    run(transaction, database, ("update", GONE), noted.collect()).await
}

/// Takes away what there is of them and for them, and no part of it that comes in between.
pub(super) async fn forget(database: &Database, users: &[UserId]) -> Result<(), Refused> {
    let users = users.iter().map(ToString::to_string).collect::<Vec<_>>();
    let notifications = database.collection::<Document>(NOTIFICATIONS);
    for field in ["target_user_id", "actor_user_id"] {
        notifications.delete_many(doc! { field: { "$in": &users } }).await?;
    }
    Ok(())
}
