//! Spans to a collector, over OTLP (http/protobuf).

use std::borrow::Cow;
use std::cell::Cell;
use std::io;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, Sampler, SdkTracerProvider, SpanData,
    SpanExporter,
};
use tokio::runtime::{self, Runtime};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use super::collector_client::CollectorClient;
use super::{SPAN_TARGET, TraceContext};
use crate::client::{TlsSetupError, redact_url};
use crate::config;
use crate::limits::{COLLECTOR_TIMEOUT, SPANS_EXPORT_INTERVAL, SPANS_FLUSH_TIMEOUT, SPANS_PER_EXPORT, SPANS_QUEUED};

/// A function that masks account numbers in texts.
pub type MaskFn = fn(&str) -> Cow<'_, str>;

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The threads cannot be started.
    #[error("cannot start the thread that sends spans: {0}")]
    Threads(io::Error),
    /// The HTTP client cannot be created.
    #[error("the HTTP client for the collector cannot be created (telemetry.otlp_endpoint): {0}")]
    Client(#[from] TlsSetupError),
    /// The endpoint is invalid.
    #[error("spans cannot be sent to telemetry.otlp_endpoint: {0}")]
    InvalidEndpoint(String),
}

/// The exporter of spans to a collector.
pub struct TraceExporter {
    provider: SdkTracerProvider,
    /// Its own runtime, which outlives the service's.
    runtime: Runtime,
}

impl TraceExporter {
    /// Starts the exporter, if the settings name a collector. `mask` masks the texts in spans.
    pub fn start(settings: &config::TelemetrySettings, mask: Option<MaskFn>) -> Result<Option<TraceExporter>, Error> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().thread_name("spans").build();
        let runtime = runtime.map_err(Error::Threads)?;
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let headers =
            settings.otlp_headers.as_ref().map(|headers| config::parse_headers(headers.text()).unwrap_or_default());
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(CollectorClient::new(endpoint, runtime.handle().clone())?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&url)
            .with_headers(headers.unwrap_or_default())
            .with_timeout(COLLECTOR_TIMEOUT)
            .build()
            // The original message repeats the whole URL.
            .map_err(|error| Error::InvalidEndpoint(error.to_string().replace(&url, &redact_url(&url))))?;
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(SPANS_QUEUED)
            .with_max_export_batch_size(SPANS_PER_EXPORT)
            .with_scheduled_delay(SPANS_EXPORT_INTERVAL)
            .build();
        let processor =
            BatchSpanProcessor::builder(MaskingExporter { exporter, mask }).with_batch_config(queue).build();
        let attributes =
            [("service.name", settings.service_name.as_str()), ("service.version", env!("CARGO_PKG_VERSION"))];
        let attributes = attributes.map(|(key, value)| KeyValue::new(key, value.to_owned()));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_id_generator(TraceIdGenerator(RandomIdGenerator::default()))
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio))))
            .with_resource(Resource::builder_empty().with_attributes(attributes).build())
            .build();
        Ok(Some(TraceExporter { provider, runtime }))
    }

    /// The layer that receives spans for a collector, and nothing that is logged.
    pub fn layer(&self) -> impl Layer<Registry> + Send + Sync + use<> {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("muster"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        layer.with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == SPAN_TARGET))
    }

    /// Sends the queued spans within [`SPANS_FLUSH_TIMEOUT`]; the rest is lost.
    pub fn flush_and_stop(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(SPANS_FLUSH_TIMEOUT) {
            tracing::warn!(%error, "the last spans may be lost");
        }
        self.runtime.shutdown_background();
    }
}

/// Starts `span` as a child of `parent`. Without a parent it is the root of `trace`, or of a new trace. Returns its
/// context; `None` if no spans are collected.
pub fn start_span(span: &Span, parent: Option<&TraceContext>, trace: Option<u128>) -> Option<TraceContext> {
    if span.is_disabled() {
        return None;
    }
    if let Some(parent) = parent {
        let flags = TraceFlags::default().with_sampled(parent.is_sampled);
        let state: TraceState = parent.state.parse().unwrap_or_default();
        let parent = SpanContext::new(parent.trace.into(), parent.span.into(), flags, true, state);
        // Fails without a collector, and then the parent does not matter.
        let _no_collector = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    NEXT_TRACE_ID.set(trace);
    let context = span.context();
    NEXT_TRACE_ID.set(None);
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceContext {
        trace: u128::from_be_bytes(context.trace_id().to_bytes()),
        span: u64::from_be_bytes(context.span_id().to_bytes()),
        is_sampled: context.is_sampled(),
        state: context.trace_state().header().into(),
    })
}

thread_local! {
    /// The trace id for the root span that is being started.
    static NEXT_TRACE_ID: Cell<Option<u128>> = const { Cell::new(None) };
}

/// Generates ids, except for a trace that has its id already.
#[derive(Debug)]
struct TraceIdGenerator(RandomIdGenerator);

impl IdGenerator for TraceIdGenerator {
    fn new_trace_id(&self) -> TraceId {
        NEXT_TRACE_ID.take().filter(|trace| *trace != 0).map_or_else(|| self.0.new_trace_id(), TraceId::from)
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// An exporter that masks the texts of spans first.
#[derive(Debug)]
struct MaskingExporter<E> {
    exporter: E,
    mask: Option<MaskFn>,
}

impl<E: SpanExporter> SpanExporter for MaskingExporter<E> {
    fn export(&self, mut spans: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        if let Some(mask) = self.mask {
            for attribute in spans.iter_mut().flat_map(|span| &mut span.attributes) {
                if let Value::String(text) = &attribute.value
                    && let Cow::Owned(masked) = mask(text.as_str())
                {
                    attribute.value = masked.into();
                }
            }
        }
        self.exporter.export(spans)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
