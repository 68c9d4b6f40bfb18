//! `tidings migrate`.

use anyhow::{Context, Result, ensure};
use std::io::Write;
use tidings_gateway::{ReadModelsConfig, migrate};
use tokio::runtime::Runtime;

/// Brings the schemas of the read models' databases to what this program knows.
pub(crate) fn run(config: &ReadModelsConfig) -> Result<()> {
    let named = [("PostgreSQL", config.database_url()?), ("MongoDB", config.mongodb_url()?)];
    let named = named.into_iter().filter_map(|(server, url)| Some((server, url?))).collect::<Vec<_>>();
    ensure!(!named.is_empty(), "DATABASE_URL and MONGODB_URL are missing: there is nothing to migrate");
    let runtime = Runtime::new().context("starting threads")?;
    for (server, url) in named {
        let steps = runtime.block_on(migrate(&url))?;
        let done =
            if steps == 0 { "the schema is up to date".to_owned() } else { format!("the schema took {steps} steps") };
        writeln!(std::io::stdout(), "{server}: {done}").context("saying so")?;
    }
    Ok(())
}
