//! Judges, after the tests, whether they have seen every operation with every documented status: `seen FILE`, where the
//! file is the one that `TIDINGS_SEEN` named while they ran.
#![expect(clippy::print_stdout, reason = "it is a report for people")]

use anyhow::{Context, Result, ensure};
use tidings_tests::seen::{EXEMPT, Table};

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).context("say which file the tests have noted in")?;
    let noted = std::fs::read_to_string(&path).with_context(|| format!("nothing was noted in {}", path.display()))?;
    let table = Table::of(&gateway::openapi(), &noted, EXEMPT);
    println!("{table}");
    ensure!(table.wrong().is_empty(), "{}", table.wrong().join("\n"));
    Ok(())
}
