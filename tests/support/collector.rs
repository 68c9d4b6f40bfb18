//! Stands in for an OpenTelemetry collector: takes what is sent to it over OTLP, and shows it as trees.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A collector that runs until it is dropped.
pub struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    /// Of each span, which process it came from.
    sent_by: BTreeMap<Vec<u8>, String>,
    services: Vec<BTreeMap<String, String>>,
    headers: Vec<http::HeaderMap>,
}

impl Collector {
    /// One that takes everything.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, taken) = (listener.local_addr()?, Arc::<Mutex<Taken>>::default());
        let (mut serving, all) = (JoinSet::new(), Arc::clone(&taken));
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let taken = Arc::clone(&all);
                let service = service_fn(move |request| answer(Arc::clone(&taken), request));
                connections.spawn(async move {
                    // A client that goes away is no matter.
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, taken, _serving: serving })
    }

    /// What a server is to be given as its collector.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans of a trace, as they came.
    pub fn trace(&self, trace: &[u8]) -> Vec<Span> {
        self.taken.lock().spans.iter().filter(|span| span.trace_id == trace).cloned().collect()
    }

    /// The process that a span came from.
    pub fn sent_by(&self, span: &Span) -> String {
        self.taken.lock().sent_by.get(&span.span_id).cloned().unwrap_or_default()
    }

    /// Who sent them.
    pub fn services(&self) -> Vec<BTreeMap<String, String>> {
        self.taken.lock().services.clone()
    }

    /// A header of what came first.
    pub fn header(&self, name: &str) -> Option<String> {
        let taken = self.taken.lock();
        Some(taken.headers.first()?.get(name)?.to_str().ok()?.to_owned())
    }
}

async fn answer(taken: Arc<Mutex<Taken>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    if (parts.method, parts.uri.path()) != (Method::POST, "/v1/traces") {
        return Ok(Response::builder().status(StatusCode::NOT_FOUND).body(Full::default())?);
    }
    let exported = ExportTraceServiceRequest::decode(body.collect().await?.to_bytes()).context("no such message")?;
    let mut taken = taken.lock();
    taken.headers.push(parts.headers);
    for of_resource in exported.resource_spans {
        let service = said(&of_resource.resource.unwrap_or_default().attributes);
        let instance = service.get("service.instance.id").cloned().unwrap_or_default();
        taken.services.push(service);
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            taken.sent_by.insert(span.span_id.clone(), instance.clone());
            taken.spans.push(span);
        }
    }
    Ok(Response::new(Full::default()))
}

/// Attributes as text.
pub fn said(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |it: &KeyValue| match it.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|it| (it.key.clone(), text(it))).collect()
}

/// The spans below `parent` as a tree, a line each, those that began first first.
pub fn tree(spans: &[Span], parent: &[u8]) -> String {
    let mut text = String::new();
    let begun = spans.iter().map(|span| span.start_time_unix_nano).min().unwrap_or_default();
    branch(spans, parent, (0, begun), &mut text);
    text
}

fn branch(spans: &[Span], parent: &[u8], (depth, begun): (usize, u64), text: &mut String) {
    let mut children: Vec<_> = spans.iter().filter(|span| span.parent_span_id == parent).collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    for span in children {
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let (at, took) = (span.start_time_unix_nano - begun, span.end_time_unix_nano - span.start_time_unix_nano);
        let said = said(&span.attributes).into_iter().map(|(name, value)| format!("{name}={value}"));
        let said = said.collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            text,
            "{:indent$}{} [{:.2} ms +{:.2} ms] {said}",
            "",
            span.name,
            ms(at),
            ms(took),
            indent = depth * 2
        );
        branch(spans, &span.span_id, (depth + 1, begun), text);
    }
}
