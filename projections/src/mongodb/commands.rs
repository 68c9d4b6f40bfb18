//! Bulk writes: many statements in few commands.

use super::unavailable;
use crate::read_model::{ApplyError, Unavailable};
use ::mongodb::bson::{Bson, Document, doc};
use ::mongodb::error::{Error, ErrorKind, WriteFailure};
use ::mongodb::{ClientSession, Database};

/// Statements of one command: of these none comes near the limit of a command's size, 16 MiB.
const STATEMENTS_MAX: usize = 5_000;

/// The code of what a transaction meets that another one has changed.
const WRITE_CONFLICT: i32 = 112;

/// Why nothing of a batch was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    For(#[from] ApplyError),
    /// Another transaction has something of it under way.
    #[error("{0}")]
    Met(String),
    /// Something of it is what the server does not take.
    #[error("{0}")]
    Document(String),
}

impl From<Unavailable> for Refused {
    fn from(why: Unavailable) -> Self {
        Self::For(why.into())
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        // A transaction that another one has met is to be tried again, and so is what the network has lost.
        let transient = error.contains_label(::mongodb::error::TRANSIENT_TRANSACTION_ERROR)
            || error.contains_label(::mongodb::error::RETRYABLE_WRITE_ERROR);
        match &*error.kind {
            ErrorKind::Command(met) if met.code == WRITE_CONFLICT => Self::Met(met.message.clone()),
            ErrorKind::Write(WriteFailure::WriteError(refused)) if !transient => {
                Self::Document(format!("{} ({})", refused.message, refused.code))
            }
            ErrorKind::Bson(error) => Self::Document(error.to_string()),
            _ => unavailable(error).into(),
        }
    }
}

/// Carries out the statements of one kind, `update` or `delete`, in a transaction and in any order.
pub(crate) async fn run(
    session: &mut ClientSession,
    database: &Database,
    (kind, collection): (&str, &str),
    statements: Vec<Document>,
) -> Result<(), Refused> {
    let mut statements = statements.into_iter().map(Bson::from).peekable();
    while statements.peek().is_some() {
        let part = statements.by_ref().take(STATEMENTS_MAX).collect::<Vec<_>>();
        let mut command = doc! { kind: collection, "ordered": false };
        command.insert(format!("{kind}s"), part);
        let done = database.run_command(command).session(&mut *session).await?;
        // The server calls a command done of which it has refused statements.
        if let Some(error) = done.get_array("writeErrors").ok().and_then(|errors| errors.first()) {
            let error = error.as_document();
            let said = |name| error.and_then(|error| error.get(name)).map(ToString::to_string).unwrap_or_default();
            return Err(Refused::Document(format!("{} ({})", said("errmsg"), said("code"))));
        }
    }
    Ok(())
}
