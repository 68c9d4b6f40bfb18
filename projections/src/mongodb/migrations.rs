//! The schema in steps, each of which is taken once. A step only adds to what the program before knows (expand), or takes
//! away what it no longer needs (contract): so nodes of two versions work on one schema while they are exchanged.

use super::{read, unavailable};
use crate::open_error::OpenError;
use ::mongodb::bson::{Document, doc};
use ::mongodb::error::{Error, ErrorKind};
use ::mongodb::{ClientSession, Collection, Database, IndexModel};

/// Where it is noted how many steps were taken.
const COLLECTION: &str = "schema";

/// A collection, the rules that its documents keep, and its indexes by their keys.
struct Made {
    collection: &'static str,
    validator: fn() -> Document,
    indexes: fn() -> Vec<Document>,
}

/// What each step makes. Never change one that was released.
const STEPS: &[&[Made]] = &[&[
    Made { collection: "checkpoints", validator: Document::new, indexes: || vec![doc! { "model": 1 }] },
    Made { collection: "built_from", validator: Document::new, indexes: Vec::new },
    // Who is gone for good, by id.
    Made { collection: "gone", validator: Document::new, indexes: Vec::new },
    // Who is to hear of what is done to a post, by its id.
    Made { collection: "post_authors", validator: Document::new, indexes: Vec::new },
    Made { collection: "notifications", validator: notifications, indexes: notifications_by },
]];

fn notifications() -> Document {
    doc! { "$jsonSchema": {
        "required": ["target_user_id", "actor_user_id", "type", "is_read", "created_at", "created_at_us"],
        "properties": {
            "_id": { "bsonType": "objectId" },
            "target_user_id": { "bsonType": "string" },
            "actor_user_id": { "bsonType": "string" },
            "post_id": { "bsonType": "string" },
            "type": { "bsonType": "string" },
            "is_read": { "bsonType": "bool" },
            "created_at": { "bsonType": "date" },
            "created_at_us": { "bsonType": "long" },
        },
    } }
}

fn notifications_by() -> Vec<Document> {
    vec![
        // A person's list, newest first.
        doc! { "target_user_id": 1, "created_at_us": -1, "_id": -1 },
        // How much of it is unread, without those who are hidden.
        doc! { "target_user_id": 1, "is_read": 1, "actor_user_id": 1 },
        // What goes with who is gone, and with a post.
        doc! { "actor_user_id": 1 },
        doc! { "post_id": 1 },
    ]
}

/// Takes the steps that are left. Returns how many these were.
pub(super) async fn run(database: &Database) -> Result<usize, OpenError> {
    let before = taken(database).await?;
    if before > STEPS.len() {
        return Err(newer_than_known(before));
    }
    for (step, n) in STEPS.iter().zip(1_i64..).skip(before) {
        for made in *step {
            make(database, made).await?;
        }
        let noted = doc! { "$max": { "version": n } };
        let schema = schema(database);
        schema.update_one(doc! { "_id": COLLECTION }, noted).upsert(true).await.map_err(unavailable)?;
    }
    Ok(STEPS.len() - before)
}

/// What is there already stays.
async fn make(database: &Database, Made { collection, validator, indexes }: &Made) -> Result<(), OpenError> {
    const NAMESPACE_EXISTS: i32 = 48;
    match database.create_collection(*collection).validator(validator()).await {
        Err(error) if matches!(&*error.kind, ErrorKind::Command(it) if it.code == NAMESPACE_EXISTS) => {}
        made => made.map_err(unavailable)?,
    }
    let indexes = indexes().into_iter().map(|keys| IndexModel::builder().keys(keys).build()).collect::<Vec<_>>();
    if !indexes.is_empty() {
        database.collection::<Document>(collection).create_indexes(indexes).await.map_err(unavailable)?;
    }
    Ok(())
}

/// That exactly the steps were taken that this program knows.
pub(super) async fn check(database: &Database) -> Result<(), OpenError> {
    let taken = taken(database).await?;
    if taken > STEPS.len() {
        return Err(newer_than_known(taken));
    }
    if taken < STEPS.len() {
        let (what, missing) = ("the schema is not this program's yet", taken + 1);
        return Err(OpenError::Unusable(format!("{what}: step {missing} is missing. Run `tidings migrate`")));
    }
    Ok(())
}

async fn taken(database: &Database) -> Result<usize, OpenError> {
    let schema = schema(database);
    let noted = read(async { schema.find_one(doc! { "_id": COLLECTION }).await }).await?;
    let version = noted.and_then(|noted| noted.get_i64("version").ok()).unwrap_or_default();
    usize::try_from(version).map_err(|_| OpenError::Unusable(format!("the schema is of version {version}")))
}

/// Reads something that there always is.
pub(super) async fn look(database: &Database, session: &mut ClientSession) -> Result<(), Error> {
    schema(database).find_one(doc! { "_id": COLLECTION }).session(session).await.map(drop)
}

fn schema(database: &Database) -> Collection<Document> {
    database.collection(COLLECTION)
}

fn newer_than_known(step: usize) -> OpenError {
    OpenError::Unusable(format!("the schema was made by a newer program: this one does not know its step {step}"))
}
