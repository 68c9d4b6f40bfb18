//! Where traces go, and which.

use super::secret;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use http::Uri;
use std::path::PathBuf;
use traces::Sampling;

/// Traces by OpenTelemetry, under its own names.
#[derive(Args, Clone, Debug)]
pub struct TracesConfig {
    /// The URL of an OpenTelemetry collector that takes OTLP over HTTP as protobuf, such as `http://127.0.0.1:4318`: traces
    /// are sent there [default: there are none]
    #[arg(long = "otlp-endpoint", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub endpoint: Option<String>,

    /// Headers for the collector, as `name=value` with commas
    #[arg(long = "otlp-headers", env = "OTEL_EXPORTER_OTLP_HEADERS", hide_env_values = true)]
    pub headers: Option<String>,

    /// A file with these headers in it, instead of the headers
    #[arg(long = "otlp-headers-file", env = "OTEL_EXPORTER_OTLP_HEADERS_FILE")]
    pub headers_file: Option<PathBuf>,

    /// Which traces are followed, by their ids: `always_on`, `always_off` or `traceidratio`
    #[arg(long = "traces-sampler", env = "OTEL_TRACES_SAMPLER", default_value = "always_on")]
    pub sampler: String,

    /// How many of them with `traceidratio`, from 0 to 1 [default: 1]
    #[arg(long = "traces-sampler-arg", env = "OTEL_TRACES_SAMPLER_ARG")]
    pub sampler_arg: Option<String>,

    /// What this server is called in traces
    #[arg(long = "service-name", env = "OTEL_SERVICE_NAME", default_value = "tidings")]
    pub service_name: String,
}

/// No traces.
impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: None,
            headers_file: None,
            sampler: "always_on".to_owned(),
            sampler_arg: None,
            service_name: "tidings".to_owned(),
        }
    }
}

impl TracesConfig {
    /// The collector, without a slash at its end.
    pub(crate) fn endpoint(&self) -> Option<String> {
        let endpoint = self.endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
        endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned())
    }

    /// What is sent along, wherever it stands.
    pub(crate) fn headers(&self) -> Result<Vec<(String, String)>> {
        let name = "OTEL_EXPORTER_OTLP_HEADERS";
        let text = secret::read(name, self.headers.as_deref(), self.headers_file.as_deref())?.unwrap_or_default();
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        pairs.map(|pair| super::property(pair).with_context(|| name)).collect()
    }

    /// Which traces are followed; an error if it cannot be told.
    pub(crate) fn sampling(&self) -> Result<Sampling> {
        ensure!(
            self.sampler_arg.is_none() || self.sampler != "always_on" && self.sampler != "always_off",
            "OTEL_TRACES_SAMPLER_ARG is set, but OTEL_TRACES_SAMPLER is {}, which takes none",
            self.sampler
        );
        let ratio = match self.sampler.as_str() {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => match &self.sampler_arg {
                Some(ratio) => ratio.parse().with_context(|| format!("OTEL_TRACES_SAMPLER_ARG: {ratio}"))?,
                None => 1.0,
            },
            parent if parent.starts_with("parentbased_") => bail!(
                "OTEL_TRACES_SAMPLER is {parent}, but the log does not carry what a parent has decided: use always_on, \
                 always_off or traceidratio, by which all parts of a trace decide alike"
            ),
            other => bail!("OTEL_TRACES_SAMPLER is {other}: expected always_on, always_off or traceidratio"),
        };
        Sampling::ratio(ratio).with_context(|| format!("OTEL_TRACES_SAMPLER_ARG must be 0 to 1: {ratio}"))
    }

    pub(super) fn check(&self) -> Result<()> {
        let headers = self.headers()?;
        let Some(endpoint) = self.endpoint() else {
            ensure!(
                headers.is_empty(),
                "OTEL_EXPORTER_OTLP_HEADERS is set, but OTEL_EXPORTER_OTLP_ENDPOINT is not: there is nobody to send them to"
            );
            return Ok(());
        };
        if cfg!(not(feature = "servers")) {
            bail!(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this program was built without the feature `servers` and sends no \
                 traces"
            );
        }
        let is_http = |uri: Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none();
        // Somebody may have put a password into it.
        ensure!(
            endpoint.parse().is_ok_and(is_http) && !endpoint.contains('@'),
            "OTEL_EXPORTER_OTLP_ENDPOINT must be an http or https URL without a user and a query"
        );
        self.sampling().map(|_| ())
    }
}

#[cfg(all(test, feature = "servers"))]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut TracesConfig)) -> String {
        let mut config =
            TracesConfig { endpoint: Some("http://127.0.0.1:4318/".to_owned()), ..TracesConfig::default() };
        change(&mut config);
        config.check().map_or_else(|error| format!("{error:#}"), |()| String::new())
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        assert_eq!(refused(|_| {}), "");
        assert_eq!(refused(|config| config.endpoint = None), "");
        let headers = |config: &mut TracesConfig| config.headers = Some("authorization=secret".to_owned());
        assert_eq!(refused(headers), "");
        for (begins, error) in [
            (
                "OTEL_EXPORTER_OTLP_HEADERS is set, but OTEL_EXPORTER_OTLP_ENDPOINT",
                refused(|config| {
                    headers(config);
                    config.endpoint = None;
                }),
            ),
            ("OTEL_EXPORTER_OTLP_HEADERS: expected", refused(|config| config.headers = Some("s3cret".to_owned()))),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT must be",
                refused(|config| config.endpoint = Some("127.0.0.1:4317".to_owned())),
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT must be",
                refused(|config| config.endpoint = Some("http://u:p@h".to_owned())),
            ),
            (
                "OTEL_TRACES_SAMPLER is parentbased_always_on",
                refused(|c| c.sampler = "parentbased_always_on".to_owned()),
            ),
            ("OTEL_TRACES_SAMPLER is often", refused(|config| config.sampler = "often".to_owned())),
            ("OTEL_TRACES_SAMPLER_ARG is set, but", refused(|config| config.sampler_arg = Some("1".to_owned()))),
            (
                "OTEL_TRACES_SAMPLER_ARG must",
                refused(|config| {
                    config.sampler = "traceidratio".to_owned();
                    config.sampler_arg = Some("2".to_owned());
                }),
            ),
        ] {
            assert!(error.starts_with(begins) && !error.contains("s3cret"), "{begins}: {error}");
        }
    }
}
