//! The start of the real program on the log of the replay, and what it holds in memory then.

use crate::http::start_tidings;
use crate::options::Scale;
use crate::replay::Kept;
use crate::report::{Cell, Section};
use crate::rounds::median;
use anyhow::Result;
use std::path::Path;

/// Starts it a few times; each start ends with SIGKILL, so the next one finds what a crash leaves.
pub(crate) async fn run(scale: &Scale, directory: &Path, fresh: bool) -> Result<Section> {
    let kept = Kept::get(scale, directory, fresh).await?;
    let millions = kept.open()?.read().await? as f64 / 1e6;
    let (mut seconds, mut resident, mut peak) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let (mut server, started) = start_tidings(&kept.path).await?;
        seconds.push(started.took.as_secs_f64());
        resident.push(server.memory_kib("VmRSS")? as f64 / 1_024.0);
        peak.push(server.memory_kib("VmHWM")? as f64 / 1_024.0);
        server.stop()?;
    }
    let mut section = Section::new("Start of `tidings serve`", vec!["", "measured", "per million events"]);
    section
        .note(format!("on a log of {millions:.2} million events, after SIGKILL; medians of {} starts", scale.rounds));
    for (what, measured) in [
        ("seconds until /readyz is 200", seconds),
        ("resident memory then, MiB (VmRSS)", resident),
        ("its peak, MiB (VmHWM)", peak),
    ] {
        let measured = median(measured.into_iter());
        section.row(vec![what.into(), Cell::number(measured), Cell::number(measured / millions)]);
    }
    Ok(section)
}
