//! Where the spans of traces go: to an OpenTelemetry collector if one is configured, else nowhere.
//!
//! Nothing here may hold up or harm the server: spans wait in a bounded queue, and what does not fit is dropped.

#[cfg_attr(not(feature = "servers"), path = "collector/no_servers.rs")]
mod otlp;

use crate::config::TracesConfig;
use anyhow::Result;
use otlp::Exporter;
use std::fmt;
use traces::Traces;

/// See the module.
pub(crate) struct Collector {
    pub(crate) traces: Traces,
    exporter: Option<Exporter>,
}

impl Collector {
    /// What the configuration names. It is not asked whether it answers.
    pub(crate) fn open(config: &TracesConfig) -> Result<Self> {
        let Some(endpoint) = config.endpoint() else { return Ok(Self { traces: Traces::default(), exporter: None }) };
        let exporter = Exporter::open(&endpoint, config)?;
        let sink = exporter.sink();
        let traces = Traces::new(config.sampling()?, sink);
        Ok(Self { traces, exporter: Some(exporter) })
    }

    /// Sends what waits, within a limit.
    pub(crate) async fn close(self) {
        if let Some(exporter) = self.exporter {
            exporter.close().await;
        }
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.exporter {
            Some(exporter) => write!(f, "sent to {}", exporter.place()),
            None => f.write_str("none"),
        }
    }
}
