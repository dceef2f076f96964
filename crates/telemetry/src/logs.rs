//! The log layer, and its level at run time.

use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::format::{Json, Readable};
use crate::install::Error;
use crate::settings::Format;

/// Reads and changes what is logged.
#[derive(Clone)]
pub struct LogLevel {
    handle: reload::Handle<EnvFilter, Registry>,
    text: Arc<Mutex<String>>,
}

impl LogLevel {
    pub(crate) fn new(text: &str) -> Result<(Self, reload::Layer<EnvFilter, Registry>), Error> {
        let (layer, handle) = reload::Layer::new(filter(text)?);
        Ok((Self { handle, text: Arc::new(Mutex::new(text.to_owned())) }, layer))
    }

    /// As it was set: a level or directives.
    pub fn get(&self) -> String {
        self.text.lock().expect("nobody panics with it").clone()
    }

    /// Takes effect at once; what is no filter changes nothing.
    pub fn set(&self, text: &str) -> Result<(), Error> {
        let filter = filter(text)?;
        let mut kept = self.text.lock().expect("nobody panics with it");
        self.handle.reload(filter).map_err(|_| Error::Gone)?;
        text.clone_into(&mut kept);
        Ok(())
    }
}

/// Our own spans pass every filter: to logs they are the context of a line (which record, which trace), to records the
/// context that they carry. They hold no events of their own.
const ALWAYS: &str = "telemetry::spans=info";

/// Chatter of libraries that nobody wants who asks for `debug`; whoever does names them: `debug,h2=debug`.
const QUIET: &str = "h2=info,hyper=info,hyper_util=info,reqwest=info,rustls=info,sqlx=info,tonic=info,tower=info";

pub(crate) fn filter(text: &str) -> Result<EnvFilter, Error> {
    let wrong = || Error::Filter { text: text.trim().to_owned() };
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    // A bare word is a level; the library would take a mistyped one for the name of a module and log nothing but that.
    for part in parts.iter().filter(|part| !part.contains(['=', '[', ':'])) {
        // No word at all would be `error`.
        let level = Some(part).filter(|part| !part.is_empty()).and_then(|part| part.parse::<tracing::level_filters::LevelFilter>().ok());
        level.ok_or_else(wrong)?;
    }
    EnvFilter::builder().parse(format!("{QUIET},{},{ALWAYS}", parts.join(","))).map_err(|_| wrong())
}

pub(crate) fn layer<S, W>(format: Format, service: &str, writer: W, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    match format {
        Format::Text => fmt::layer().fmt_fields(Readable).with_ansi(ansi).with_writer(writer).boxed(),
        Format::Json => fmt::layer()
            .fmt_fields(fmt::format::JsonFields::new())
            .event_format(Json::new(service))
            .with_ansi(false)
            .with_writer(writer)
            .boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_directives_and_a_typo_is_neither() {
        for good in ["error", "DEBUG", "off", " info ", "info,bus=debug", "warn, pipeline::engine=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["", "  ", "loud", "infoo,bus=debug", "bus=loud"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
