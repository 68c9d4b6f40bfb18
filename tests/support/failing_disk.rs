//! A child whose disk fails when it is told to: see `tests/failing-disk`.
#![cfg(target_os = "linux")]

use crate::child::Environment;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// Which calls fail.
#[derive(Clone, Copy, Debug)]
pub enum Calls {
    /// `fsync` and `fdatasync`, with EIO.
    Sync,
    /// Writes, with EIO.
    Write,
    /// Writes, with ENOSPC, after half of one that still fits.
    WriteToFull,
}

/// The way to tell a child's disk.
pub struct FailingDisk {
    plan: PathBuf,
    data: PathBuf,
}

/// A call on a file of the data directory after the disk was told.
#[derive(Debug)]
pub struct Recorded {
    /// `passed`, `halved` or `failed`.
    pub verdict: String,
    /// Which function.
    pub call: String,
    /// Which file, below the data directory.
    pub file: String,
    /// Where the file's cursor stood.
    pub cursor: u64,
}

impl FailingDisk {
    /// A disk that works, for whoever has its data in this directory.
    pub fn of(data: &Path) -> Self {
        Self { plan: data.with_extension("plan"), data: data.to_owned() }
    }

    /// What the child's environment needs.
    pub fn environment(&self) -> Result<Environment> {
        let test = std::env::current_exe()?;
        let library = test.parent().context("a test has a folder")?.join("libtidings_failing_disk.so");
        ensure!(library.exists(), "{} is not built", library.display());
        Ok(vec![("LD_PRELOAD", library.into()), ("FAILING_DISK", self.plan.clone().into())])
    }

    /// From now on these calls on files with this ending fail: after `skip` that pass, `times` of them.
    pub fn fail(&self, calls: Calls, ending: &str, skip: u64, times: u64) -> Result<()> {
        let (calls, error) = match calls {
            Calls::Sync => ("sync", "EIO"),
            Calls::Write => ("write", "EIO"),
            Calls::WriteToFull => ("write", "ENOSPC"),
        };
        // In one piece: the child reads it once.
        let unnamed = self.plan.with_extension("new");
        fs::write(&unnamed, format!("{calls} {ending} {} {error} {skip} {times}", self.data.display()))?;
        Ok(fs::rename(unnamed, &self.plan)?)
    }

    /// What was asked of the disk since.
    pub fn record(&self) -> Result<Vec<Recorded>> {
        let text = fs::read_to_string(self.plan.with_extension("record")).context("the disk was asked nothing")?;
        text.lines().map(|line| Recorded::parse(line).with_context(|| line.to_owned())).collect()
    }
}

impl Recorded {
    fn parse(line: &str) -> Option<Self> {
        let [verdict, call, file, cursor] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let (verdict, call, file) = (verdict.to_owned(), call.to_owned(), file.to_owned());
        Some(Self { verdict, call, file, cursor: cursor.parse().ok()? })
    }
}
