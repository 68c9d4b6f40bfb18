//! Checkpoints beside the data: read, and moved on under the condition that nobody else has moved them.
//!
//! There is a document for each partition before anything is written in it, so that whoever must not be overtaken by a
//! transaction that is under way can meet it there: see [`Checkpoints::meet_all`].

use super::{Database, Refused, count, number, read, text};
use crate::checkpoint::Checkpoint;
use crate::parked;
use crate::read_model::{Advance, ApplyError, Unavailable};
use ::mongodb::bson::spec::BinarySubtype;
use ::mongodb::bson::{Binary, Document, doc};
use ::mongodb::{ClientSession, Collection};
use events::Incarnation;
use journal::{Head, Offset, Partition};

const COLLECTION: &str = "checkpoints";

/// Those of one build of one read model.
#[derive(Clone)]
pub(crate) struct Checkpoints {
    pub(crate) database: Database,
    pub(crate) model: &'static str,
    pub(crate) generation: u64,
}

impl Checkpoints {
    pub(crate) async fn load(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        let checkpoints = self.collection().await?;
        let found = read(async { checkpoints.find_one(self.id(partition)).await }).await?;
        found.filter(is_written).as_ref().map(checkpoint).transpose()
    }

    /// Makes the document of a partition in which nothing was written yet; before the first transaction there.
    pub(crate) async fn prepare(&self, advance: &Advance<'_>) -> Result<(), Refused> {
        if !is_first(advance) {
            return Ok(());
        }
        let made = doc! { "$setOnInsert": { "model": self.model, "partition": i64::from(advance.partition.0) } };
        let checkpoints = self.collection().await?;
        checkpoints.update_one(self.id(advance.partition), made).upsert(true).await?;
        Ok(())
    }

    /// Compare-and-set, and the first statement of the transaction: of two that have it under way one fails.
    pub(crate) async fn advance(&self, session: &mut ClientSession, advance: &Advance<'_>) -> Result<(), Refused> {
        let new = doc! { "$set": self.document(advance.new) };
        let checkpoints = self.collection().await?;
        let moved = checkpoints.update_one(self.expected(advance)?, new).session(session).await?;
        if moved.matched_count == 0 { Err(ApplyError::Fenced.into()) } else { Ok(()) }
    }

    /// That nobody else has moved it, until the transaction ends.
    pub(crate) async fn expect(&self, session: &mut ClientSession, advance: &Advance<'_>) -> Result<(), Refused> {
        let checkpoints = self.collection().await?;
        let met = checkpoints.update_one(self.expected(advance)?, met()).session(session).await?;
        if met.matched_count == 0 { Err(ApplyError::Fenced.into()) } else { Ok(()) }
    }

    /// Every transaction of this read model that has begun before is over when this is done, whether it took effect or
    /// not: it changes the document that each of them changes.
    pub(crate) async fn meet_all(&self) -> Result<(), Refused> {
        let checkpoints = self.collection().await?;
        checkpoints.update_many(doc! { "model": self.model }, met()).await?;
        Ok(())
    }

    async fn collection(&self) -> Result<Collection<Document>, Unavailable> {
        self.database.collection(COLLECTION).await
    }

    fn id(&self, partition: Partition) -> Document {
        doc! { "_id": format!("{}/{partition}", self.model) }
    }

    /// The document of the partition, if it is the expected one.
    fn expected(&self, advance: &Advance<'_>) -> Result<Document, ApplyError> {
        let Advance { partition, expected, .. } = advance;
        if expected.generation != self.generation {
            return Err(ApplyError::Fenced);
        }
        let mut filter = self.id(*partition);
        if is_first(advance) {
            filter.insert("revision", doc! { "$exists": false });
        } else {
            filter.insert("generation", number(expected.generation));
            filter.insert("revision", number(expected.revision));
            filter.insert("next", number(expected.at.next));
            filter.insert("head", head(&expected.at.head));
        }
        Ok(filter)
    }

    fn document(&self, new: &Checkpoint) -> Document {
        doc! {
            "generation": number(new.generation),
            "revision": number(new.revision),
            "next": number(new.at.next),
            "head": head(&new.at.head),
            "head_offset": new.at.head_offset.map(number),
            "incarnation": new.at.incarnation.map(|incarnation| incarnation.0.to_string()),
            "parked": parked::encode(&new.parked),
        }
    }
}

fn is_first(Advance { expected, .. }: &Advance<'_>) -> bool {
    expected.revision == 0 && expected.at.next == 0
}

/// What no checkpoint is told apart by.
fn met() -> Document {
    doc! { "$inc": { "met": 1_i64 } }
}

/// Not one that [`Checkpoints::prepare`] has made.
fn is_written(document: &Document) -> bool {
    document.contains_key("revision")
}

fn head(head: &Head) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: head.0.to_vec() }
}

fn checkpoint(document: &Document) -> Result<Checkpoint, Unavailable> {
    let damaged = |what: &str| Unavailable(format!("MongoDB: a checkpoint has {what}"));
    let head = document.get_binary_generic("head").map_err(|_| damaged("no head"))?;
    let head_offset = document.get_i64("head_offset").ok().map(Offset::try_from).transpose();
    let incarnation = document.get_str("incarnation").ok().map(str::parse).transpose();
    Ok(Checkpoint {
        generation: count(document, "generation")?,
        revision: count(document, "revision")?,
        at: journal::Checkpoint {
            next: count(document, "next")?,
            head: Head(head.as_slice().try_into().map_err(|_| damaged("a head of another length"))?),
            head_offset: head_offset.map_err(|_| damaged("a negative offset"))?,
            incarnation: incarnation.map_err(|_| damaged("an incarnation that is no id"))?.map(Incarnation),
        },
        parked: parked::decode(text(document, "parked")?, "MongoDB")?,
    })
}
