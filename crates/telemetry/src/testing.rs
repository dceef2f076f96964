//! Telemetry that a test can look at: spans kept in memory, lines in a buffer.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;

use crate::install::{Error, Guard, assemble, install, resource};
use crate::settings::Settings;
use crate::traces;

/// What one installation has seen. Clones see the same.
#[derive(Clone)]
pub struct Seen {
    spans: InMemorySpanExporter,
    lines: Lines,
    guard: Arc<Guard>,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub name: String,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: &'static str,
    pub trace_id: String,
    pub span_id: String,
    /// `None` at the root of a trace.
    pub parent: Option<String>,
    /// Span ids.
    pub links: Vec<String>,
    pub attributes: BTreeMap<String, String>,
    pub failed: bool,
}

/// For this process, once: later calls answer the same, whatever their settings. Logs go to the buffer, not to the terminal.
pub fn install_once(settings: &Settings) -> Seen {
    static SEEN: OnceLock<Seen> = OnceLock::new();
    let seen = SEEN.get_or_init(|| {
        let (dispatch, seen) = build(settings).expect("the test's settings are good");
        install(dispatch, &seen.guard).expect("nobody else installs telemetry in this process");
        seen
    });
    seen.clone()
}

/// For the current thread, while the answer is held in `tracing::dispatcher::set_default`.
pub fn build(settings: &Settings) -> Result<(Dispatch, Seen), Error> {
    let resource = resource("test");
    let (spans, lines) = (InMemorySpanExporter::default(), Lines::default());
    let provider = traces::provider(&settings.traces, resource.clone())?;
    let provider = provider.with_sampler(traces::sampler(&settings.traces)).with_simple_exporter(spans.clone());
    let (dispatch, guard) = assemble(settings, "test", provider, resource, lines.clone(), false)?;
    Ok((dispatch, Seen { spans, lines, guard: Arc::new(guard) }))
}

impl Seen {
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What has been logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.lines.0.lock().expect("nobody panics with it")).into_owned()
    }

    /// Spans that have ended, in that order.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.get_finished_spans().expect("nobody shut the exporter down").iter().map(Span::from).collect()
    }

    /// Those of one trace.
    pub fn trace(&self, trace_id: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|it| it.trace_id == trace_id).collect()
    }
}

impl From<&SpanData> for Span {
    fn from(data: &SpanData) -> Self {
        Self {
            name: data.name.to_string(),
            kind: match data.span_kind {
                SpanKind::Server => "server",
                SpanKind::Client => "client",
                SpanKind::Producer => "producer",
                SpanKind::Consumer => "consumer",
                SpanKind::Internal => "internal",
            },
            trace_id: data.span_context.trace_id().to_string(),
            span_id: data.span_context.span_id().to_string(),
            parent: (data.parent_span_id != opentelemetry::trace::SpanId::INVALID).then(|| data.parent_span_id.to_string()),
            links: data.links.iter().map(|it| it.span_context.span_id().to_string()).collect(),
            attributes: data.attributes.iter().map(|it| (it.key.to_string(), it.value.to_string())).collect(),
            failed: matches!(data.status, Status::Error { .. }),
        }
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
