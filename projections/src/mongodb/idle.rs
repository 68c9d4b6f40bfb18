//! Transactions that nobody goes on with: their node sleeps in the middle of a batch, or is gone. The server would keep them
//! for a minute, and with them what they have written from everybody else. Whoever meets something of theirs ends them.

use super::Database;
use ::mongodb::bson::{Document, doc};
use ::mongodb::error::Error;
use ::mongodb::options::ReadConcern;
use futures::TryStreamExt;
use std::time::Duration;

/// How long a transaction may wait for its next statement.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Ends those of our nodes that have waited for too long. Everybody may look at their own, and end them.
pub(super) async fn end(database: &Database) -> Result<usize, Error> {
    let waited = i64::try_from(IDLE_MAX.as_micros()).unwrap_or(i64::MAX);
    let idle = [
        doc! { "$currentOp": { "allUsers": false, "idleSessions": true } },
        doc! { "$match": {
            "type": "idleSession",
            "appName": database.options.app_name.as_deref(),
            "transaction.timeInactiveMicros": { "$gte": waited },
        } },
        doc! { "$project": { "lsid": 1 } },
    ];
    let admin = database.client.database("admin");
    let found = admin.aggregate(idle).read_concern(ReadConcern::local()).await?;
    let found: Vec<Document> = found.try_collect().await?;
    let sessions = found.iter().filter_map(|it| Some(doc! { "id": it.get_document("lsid").ok()?.get("id")?.clone() }));
    let sessions = sessions.collect::<Vec<_>>();
    if !sessions.is_empty() {
        admin.run_command(doc! { "killSessions": &sessions }).await?;
    }
    Ok(sessions.len())
}
