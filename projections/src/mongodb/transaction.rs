//! A transaction that is over when it is dropped, whatever was under way then.

use super::{Database, Refused, migrations};
use ::mongodb::bson::{Bson, doc};
use ::mongodb::{Client, ClientSession};
use std::ops::{Deref, DerefMut};
use tokio::runtime::Handle;

pub(crate) struct Transaction {
    /// There until it is dropped.
    session: Option<ClientSession>,
    client: Client,
    is_over: bool,
}

impl Transaction {
    /// The driver ends none of which the first statement was not answered. So that this is only read for nothing, something
    /// is read first.
    pub(super) async fn begin(database: &Database) -> Result<Self, Refused> {
        let checked = database.checked().await?;
        let mut session = database.client.start_session().await?;
        session.start_transaction().await?;
        let mut begun = Self { session: Some(session), client: database.client.clone(), is_over: false };
        migrations::look(checked, &mut begun).await?;
        Ok(begun)
    }

    /// Commits what was written in it, and rolls it back if something was not. What ends like this leaves nothing to be killed,
    /// and its session can be used again at once.
    pub(crate) async fn finish(self, written: Result<(), Refused>) -> Result<(), Refused> {
        match written {
            Ok(()) => self.commit().await,
            Err(error) => {
                let _ = self.roll_back().await;
                // It says more than why nothing could be taken back; what could not is ended when it is met.
                Err(error)
            }
        }
    }

    /// After an error it may have taken effect all the same.
    async fn commit(mut self) -> Result<(), Refused> {
        self.commit_transaction().await?;
        self.is_over = true;
        Ok(())
    }

    pub(crate) async fn roll_back(mut self) -> Result<(), Refused> {
        self.abort_transaction().await?;
        self.is_over = true;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = ClientSession;
    fn deref(&self) -> &ClientSession {
        self.session.as_ref().expect("it is there")
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut ClientSession {
        self.session.as_mut().expect("it is there")
    }
}

impl Drop for Transaction {
    /// Nobody waits for it; what does not come of it others do who meet the transaction. Until it is killed nobody else has its
    /// session, whose questions would be ended with it.
    fn drop(&mut self) {
        let (Some(session), Ok(runtime)) = (self.session.take(), Handle::try_current()) else { return };
        if let (false, Some(id)) = (self.is_over, session.id().get("id").cloned()) {
            let admin = self.client.database("admin");
            let kill = doc! { "killSessions": [Bson::from(doc! { "id": id })] };
            runtime.spawn(async move {
                let _ = admin.run_command(kill).await;
                drop(session);
            });
        }
    }
}
