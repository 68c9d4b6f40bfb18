//! The questions. A list and what is counted beside it are of one moment.

use super::super::{Deed, Notification, NotificationId, Notifications, UNREAD_MAX};
use super::MongoNotifications;
use super::write::NOTIFICATIONS;
use crate::hidden::Hidden;
use crate::listing::{Filling, Listing, Page, Place};
use crate::mongodb::{READ_MAX, id, number, read, text};
use crate::read_model::Unavailable;
use ::mongodb::bson::oid::ObjectId;
use ::mongodb::bson::{Document, doc};
use ::mongodb::error::Error;
use ::mongodb::{ClientSession, Collection};
use async_trait::async_trait;
use events::{PostId, Timestamp, UserId};
use futures::TryStreamExt;

/// Documents of one query, at most. The first one asks for no more than the page needs if nothing is hidden.
const DOCUMENTS_MAX: usize = 1_000;

/// Somebody's notifications as they are at one moment.
struct Look<'a> {
    notifications: Collection<Document>,
    session: ClientSession,
    user: UserId,
    hidden: &'a Hidden,
}

#[async_trait]
impl Notifications for MongoNotifications {
    async fn list(
        &self,
        user: UserId,
        page: Page,
        hidden: &Hidden,
    ) -> Result<(Listing<Notification>, usize), Unavailable> {
        let mut look = self.look(user, hidden).await?;
        let listing = look.page(page).await?;
        Ok((listing, look.unread().await?))
    }

    async fn unread(&self, user: UserId, hidden: &Hidden) -> Result<usize, Unavailable> {
        self.look(user, hidden).await?.unread().await
    }
}

impl MongoNotifications {
    async fn look<'a>(&self, user: UserId, hidden: &'a Hidden) -> Result<Look<'a>, Unavailable> {
        let notifications = self.database.collection(NOTIFICATIONS).await?;
        Ok(Look { notifications, session: self.database.snapshot().await?, user, hidden })
    }
}

impl Look<'_> {
    async fn page(&mut self, page: Page) -> Result<Listing<Notification>, Unavailable> {
        let mut filling = Filling::of(page);
        let (mut after, mut documents_max) = (page.after, page.limit.max(1) + 1);
        loop {
            let found = self.after(after, documents_max);
            let found = read(found).await?;
            for document in &found {
                let it = notification(document)?;
                let place = it.place();
                if !filling.push(place, (!self.hidden.hides_in_feed(it.actor)).then_some(it)) {
                    return Ok(filling.done());
                }
                after = Some(place);
            }
            if found.len() < documents_max {
                return Ok(filling.done());
            }
            documents_max = (documents_max * 4).min(DOCUMENTS_MAX);
        }
    }

    async fn after(&mut self, after: Option<Place>, max: usize) -> Result<Vec<Document>, Error> {
        let mut filter = doc! { "target_user_id": self.user.to_string() };
        if let Some((Timestamp(at), id)) = after {
            let [id, ..] = id.as_bytes().as_chunks::<{ NotificationId::BYTES }>().0 else { return Ok(Vec::new()) };
            let earlier = doc! { "created_at_us": { "$lt": at } };
            let beside = doc! { "created_at_us": at, "_id": { "$lt": ObjectId::from_bytes(*id) } };
            filter.insert("$or", [earlier, beside].to_vec());
        }
        let found = self.notifications.find(filter).sort(doc! { "created_at_us": -1, "_id": -1 });
        let found = found.limit(number(max as u64)).max_time(READ_MAX);
        let mut found = found.session(&mut self.session).await?;
        found.stream(&mut self.session).try_collect().await
    }

    async fn unread(&mut self) -> Result<usize, Unavailable> {
        let mut filter = doc! { "target_user_id": self.user.to_string(), "is_read": false };
        let hidden = self.hidden.all_in_feed().map(|user| user.to_string()).collect::<Vec<_>>();
        if !hidden.is_empty() {
            filter.insert("actor_user_id", doc! { "$nin": hidden });
        }
        let counted = self.notifications.count_documents(filter).limit(UNREAD_MAX as u64).max_time(READ_MAX);
        let counted = read(async { counted.session(&mut self.session).await }).await?;
        Ok(usize::try_from(counted).unwrap_or(UNREAD_MAX))
    }
}

fn notification(document: &Document) -> Result<Notification, Unavailable> {
    let damaged = || Unavailable("MongoDB: a notification is not as it was written".to_owned());
    let deed = match text(document, "type")? {
        "follow" => Deed::Follow { followee: UserId(id(document, "target_user_id")?) },
        "like" => Deed::Like { post: PostId(id(document, "post_id")?) },
        _ => return Err(damaged()),
    };
    Ok(Notification {
        id: NotificationId(document.get_object_id("_id").map_err(|_| damaged())?.bytes()),
        actor: UserId(id(document, "actor_user_id")?),
        deed,
        is_read: document.get_bool("is_read").map_err(|_| damaged())?,
        created_at: Timestamp(document.get_i64("created_at_us").map_err(|_| damaged())?),
    })
}
