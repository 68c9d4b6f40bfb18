//! Spans to a collector: OpenTelemetry's own queue and protocol (OTLP over HTTP, as protobuf), over this server's own HTTP
//! client. Its queue drops what does not fit; `OTEL_BSP_*` says how long it is and how often it is emptied.

use crate::config::TracesConfig;
use crate::connector::{Connector, connector};
use anyhow::{Context, Result};
use async_trait::async_trait;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, SpanId, TraceId};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use traces::{Kind, Span, Value};
use tracing::{info, warn};
use uuid::Uuid;

/// How long the collector may take for an answer.
const SEND_MAX: Duration = Duration::from_secs(10);
/// How long the spans that wait may hold up the end of the server.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// The longest answer of a collector, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// See the module.
pub(super) struct Exporter {
    place: String,
    processor: Arc<BatchSpanProcessor>,
}

impl Exporter {
    /// What sends to this collector, from a thread of its own, on this runtime.
    pub(super) fn open(endpoint: &str, config: &TracesConfig) -> Result<Self> {
        let client = Client::builder(TokioExecutor::new()).build(connector(endpoint)?);
        let sender = Sender { runtime: Handle::current(), client, fails: AtomicBool::new(false) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(SEND_MAX)
            .with_headers(config.headers()?.into_iter().collect())
            .build()
            .context("the collector of traces")?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let instance = KeyValue::new("service.instance.id", Uuid::new_v4().to_string());
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let service = Resource::builder().with_service_name(config.service_name.clone());
        processor.set_resource(&service.with_attributes([instance, version]).build());
        Ok(Self { place: endpoint.to_owned(), processor: Arc::new(processor) })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Where finished spans are put: into the queue, if there is room.
    pub(super) fn sink(&self) -> impl Fn(Span) + Send + Sync + use<> {
        let processor = Arc::clone(&self.processor);
        let scope = InstrumentationScope::builder("tidings").with_version(env!("CARGO_PKG_VERSION")).build();
        move |span| processor.on_end(data(span, &scope))
    }

    pub(super) async fn close(self) {
        let sent = spawn_blocking(move || self.processor.shutdown_with_timeout(CLOSE_MAX));
        if !matches!(sent.await, Ok(Ok(()))) {
            warn!("the last spans could not be sent");
        }
    }
}

/// A span that ends now, as it is sent.
fn data(span: Span, scope: &InstrumentationScope) -> SpanData {
    let end_time = SystemTime::now();
    let trace = TraceId::from_bytes(span.trace.into_bytes());
    let context = |id: traces::SpanId| {
        let id = SpanId::from_bytes(id.to_bytes());
        SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default())
    };
    let attribute = |(name, value): (&'static str, Value)| match value {
        Value::Text(text) => KeyValue::new(name, text.into_owned()),
        Value::Number(number) => KeyValue::new(name, number),
    };
    let mut links = SpanLinks::default();
    links.links = span.links.into_iter().map(|id| Link::with_context(context(id))).collect();
    SpanData {
        span_context: context(span.id),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_bytes())),
        parent_span_is_remote: span.kind == Kind::Server && span.parent.is_some(),
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal => SpanKind::Internal,
        },
        name: span.name,
        start_time: end_time.checked_sub(span.took).unwrap_or(end_time),
        end_time,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: if span.failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: scope.clone(),
    }
}

/// Takes what OpenTelemetry's thread wants to send to this server's runtime. Says once that it fails, and once that it does
/// no more.
#[derive(Debug)]
struct Sender {
    runtime: Handle,
    client: Client<Connector, Full<Bytes>>,
    fails: AtomicBool,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { timeout(SEND_MAX, send(&client, request)).await });
        let answer = match sent.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("no answer in time".into()),
            Err(stopped) => Err(stopped.into()),
        };
        let failure = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        metrics::counter!("tidings_trace_exports_total", "outcome" => if failure.is_some() { "failed" } else { "sent" })
            .increment(1);
        match (&failure, self.fails.swap(failure.is_some(), Ordering::Relaxed)) {
            (Some(error), false) => warn!("the collector takes no spans, which are dropped until it does: {error}"),
            (None, true) => info!("the collector takes spans again"),
            _ => {}
        }
        answer
    }
}

async fn send(client: &Client<Connector, Full<Bytes>>, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (parts, body) = client.request(request.map(Full::new)).await?.into_parts();
    Ok(Response::from_parts(parts, Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes()))
}
