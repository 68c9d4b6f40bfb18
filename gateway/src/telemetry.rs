//! Where log lines and measurements go.

mod described;
mod pools;

pub use described::names;
pub(crate) use pools::Pool;

use crate::config::{Config, LogFormat};
use anyhow::{Context, Result, anyhow};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Upper bounds of the classes of request times, in seconds.
const BUCKETS_S: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Upper bounds of the classes of sizes, in bytes.
const BUCKETS_BYTES: [f64; 8] = [256.0, 512.0, 1_024.0, 2_048.0, 4_096.0, 16_384.0, 65_536.0, 524_288.0];

/// Upper bounds of the classes of numbers of things that go together: up to what a runner applies, or a node sends, in one go.
const BUCKETS_COUNT: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 128.0, 256.0, 512.0];

/// The measurements of this process.
#[derive(Clone)]
pub struct Metrics(pub(crate) PrometheusHandle);

impl Metrics {
    /// Collects what is measured anywhere in the process. Once per process.
    pub fn install() -> Result<Self> {
        let recorder = builder()?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|error| anyhow!("{error}"))?;
        described::describe();
        Ok(Self(handle))
    }

    /// Collects nothing: for a server inside a test.
    pub fn detached() -> Result<Self> {
        Ok(Self(builder()?.build_recorder().handle()))
    }
}

fn builder() -> Result<PrometheusBuilder> {
    let ending = |suffix: &str| Matcher::Suffix(suffix.to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(ending("_seconds"), &BUCKETS_S)
        .and_then(|builder| builder.set_buckets_for_metric(ending("_bytes"), &BUCKETS_BYTES))
        .and_then(|builder| builder.set_buckets_for_metric(ending("_batch_commits"), &BUCKETS_COUNT))
        .and_then(|builder| builder.set_buckets_for_metric(ending("_batch_requests"), &BUCKETS_COUNT))
        .context("the classes of times, sizes and numbers")
}

/// Writes log lines to standard output.
pub fn log(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log).with_context(|| format!("--log {}", config.log))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    let set = match config.log_format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    set.map_err(|error| anyhow!("{error}"))
}
