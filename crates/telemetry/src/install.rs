//! Puts the parts together, once per process.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};
use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::logs::{self, LogLevel};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::traces;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{text}` is no log filter: use error, warn, info, debug, trace or off, and `,module=level` behind it")]
    Filter { text: String },
    #[error("spans can't be exported to {endpoint}: {reason}")]
    Exporter { endpoint: String, reason: String },
    #[error("metrics can't be collected: {0}")]
    Metrics(String),
    #[error("telemetry is installed already in this process")]
    Installed,
    #[error("telemetry is no longer installed")]
    Gone,
}

/// Keeps what was installed. [`Guard::flush`] it when the work is over.
pub struct Guard {
    log_level: LogLevel,
    metrics: Metrics,
    spans: SdkTracerProvider,
}

/// Installs logs (to standard error), traces and metrics for the whole process. With an endpoint to export to it has to be
/// called inside a Tokio runtime.
pub fn init(settings: &Settings, service: &str) -> Result<Guard, Error> {
    let resource = resource(service);
    let spans = traces::provider(&settings.traces, resource.clone())?;
    let (dispatch, guard) = assemble(settings, service, spans, resource, io::stderr, io::stderr().is_terminal())?;
    install(dispatch, &guard)?;
    Ok(guard)
}

pub(crate) fn resource(service: &str) -> Resource {
    // The schema says which version of the semantic conventions our names follow.
    Resource::builder()
        .with_service_name(service.to_owned())
        .with_schema_url([KeyValue::new("service.version", VERSION)], "https://opentelemetry.io/schemas/1.44.0")
        .build()
}

/// Everything but the process-wide part, so that tests can have several.
pub(crate) fn assemble<W>(
    settings: &Settings,
    service: &str,
    spans: TracerProviderBuilder,
    resource: Resource,
    writer: W,
    ansi: bool,
) -> Result<(Dispatch, Guard), Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (log_level, log_filter) = LogLevel::new(&settings.level)?;
    let spans = spans.build();
    let subscriber = Registry::default()
        .with(logs::layer(settings.format, service, writer, ansi).with_filter(log_filter))
        .with(traces::layer(&spans).with_filter(logs::filter(&settings.traces.filter)?));
    let metrics = Metrics::new(resource, VERSION)?;
    Ok((Dispatch::new(subscriber), Guard { log_level, metrics, spans }))
}

pub(crate) fn install(dispatch: Dispatch, guard: &Guard) -> Result<(), Error> {
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| Error::Installed)?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(guard.spans.clone());
    guard.metrics.install();
    Ok(())
}

impl Guard {
    pub fn log_level(&self) -> LogLevel {
        self.log_level.clone()
    }

    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Exports what is still held back, and ends tracing. Blocks for at most five seconds: not for a runtime's own threads.
    pub fn flush(&self) {
        if let Err(error) = self.spans.shutdown_with_timeout(FLUSH_MAX) {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

const FLUSH_MAX: Duration = Duration::from_secs(5);

/// All crates of the workspace have one version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
