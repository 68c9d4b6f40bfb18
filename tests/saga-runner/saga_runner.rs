//! A process that runs one saga over a log, and ends itself with SIGKILL at the record that it was told: see
//! `tidings_tests::sagas::killed`, which also says what its arguments are. Others then look at what it has left.

use anyhow::{Result, bail};
use tidings_tests::sagas::killed::Kill;

#[tokio::main]
async fn main() -> Result<()> {
    let kill = Kill::from_arguments(std::env::args().skip(1))?;
    kill.run().await?;
    bail!("the saga came to its end before the record came at which this process was to be killed")
}
