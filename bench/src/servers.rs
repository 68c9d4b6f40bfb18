//! Read models in servers: how fast a log is read into them, beside what the server does by itself with the same rows and
//! documents; how long an acknowledged command takes to be seen there; and what reads over HTTP cost then.

mod copy;
mod fed;
mod inserted;
mod place;
mod projector;
mod visible;
mod zadd;

use crate::http;
use crate::options::{Options, Part, Scale};
use crate::report::Report;
use crate::script::Load;
use anyhow::{Context, Result, bail};
use place::{Place, Which};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Connections; more than these wait for one to the database most of the time.
const CLIENTS: [usize; 4] = [1, 16, 64, 256];
/// Records of the log that is read: each server reads it and is given its rows in every round.
const RECORDS_MAX: u64 = 250_000;
const PARTS: [Part; 3] = [Part::Replay, Part::Commands, Part::Http];
/// In less not everybody has an answer.
const MEASURED_MIN: Duration = Duration::from_secs(1);

/// Where they are.
struct Servers {
    database: String,
    mongodb: String,
    redis: String,
}

impl Servers {
    fn of(options: &Options) -> Result<Self> {
        let named = |url: &Option<String>, name: &str| {
            url.clone().with_context(|| format!("{name} is not set: `./dev bench --servers` sets it"))
        };
        Ok(Self {
            database: named(&options.database_url, "DATABASE_URL")?,
            mongodb: named(&options.mongodb_url, "MONGODB_URL")?,
            redis: named(&options.redis_url, "REDIS_URL")?,
        })
    }
}

/// Measures all of it, or the parts that are asked for.
pub(crate) fn run(
    runtime: &Runtime,
    scale: &Scale,
    options: &Options,
    directory: &Path,
    report: &mut Report,
) -> Result<()> {
    let servers = Servers::of(options)?;
    if let Some(other) = options.only.iter().find(|part| !PARTS.contains(part)) {
        bail!("--servers has the parts replay, commands and http, and not {other:?}");
    }
    if options.is_wanted(Part::Replay) {
        let scale = Scale { records: scale.records.min(RECORDS_MAX), ..*scale };
        runtime.block_on(projector::run(&scale, &servers, directory, options.fresh, report)).context("projector")?;
    }
    if options.is_wanted(Part::Commands) {
        runtime.block_on(visible::run(scale, &servers, directory, report)).context("visible")?;
    }
    if options.is_wanted(Part::Http) {
        let scale = Scale { clients: CLIENTS, measured: scale.measured.max(MEASURED_MIN), ..*scale };
        for which in Which::SERVERS {
            let place = runtime.block_on(Place::new(&servers, which))?;
            let environment = [(which.variable().to_owned(), place.url().to_owned())];
            let (read, _) = http::run(&scale, directory, &[Load::Reads], &environment).context("http")?;
            let particular = format!("what {} can keep is there", which.server());
            report.add(read.into_iter().map(|section| section.titled(&particular)), []);
            runtime.block_on(place.delete())?;
        }
    }
    Ok(())
}
