//! `tidings migrate`.

use anyhow::{Context, Result};
use std::io::Write;
use tidings_gateway::{ReadModelsConfig, migrate};
use tokio::runtime::Runtime;

/// Brings the schema of the read models' database to what this program knows.
pub(crate) fn run(config: &ReadModelsConfig) -> Result<()> {
    let url = config.database_url()?.context("DATABASE_URL is missing: there is nothing to migrate")?;
    let steps = Runtime::new().context("starting threads")?.block_on(migrate(&url))?;
    let done =
        if steps == 0 { "the schema is up to date".to_owned() } else { format!("the schema took {steps} steps") };
    writeln!(std::io::stdout(), "{done}").context("saying so")
}
