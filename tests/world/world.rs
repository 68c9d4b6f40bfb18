//! Makes a data directory with something of everything below the directory that is named, and says where and what it is.
#![expect(clippy::print_stdout, reason = "it is said to whoever starts it")]

use anyhow::{Context, Result};
use std::path::PathBuf;
use tidings_tests::world::World;

#[tokio::main]
async fn main() -> Result<()> {
    let below = std::env::args_os().nth(1).map(PathBuf::from).context("say below which directory")?;
    let World { directory, mut names, .. } = World::make(&below).await?;
    names["TIDINGS_DATA"] = directory.keep().join("data").display().to_string().into();
    println!("{names}");
    Ok(())
}
