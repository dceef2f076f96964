//! Where spans go.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, TracerProviderBuilder};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::install::Error;
use crate::settings::TraceSettings;

/// Without an endpoint spans end unseen; they still give records their context.
pub(crate) fn provider(settings: &TraceSettings, resource: Resource) -> Result<TracerProviderBuilder, Error> {
    // Whoever began the trace decided: a trace is exported in full or not at all.
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)));
    let builder = SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler);
    match &settings.endpoint {
        None => Ok(builder),
        Some(endpoint) => Ok(builder.with_batch_exporter(exporter(endpoint, settings)?)),
    }
}

fn exporter(endpoint: &str, settings: &TraceSettings) -> Result<SpanExporter, Error> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(settings.timeout);
    let exporter =
        if endpoint.starts_with("https://") { exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots()) } else { exporter };
    exporter.build().map_err(|error| Error::Exporter { endpoint: endpoint.to_owned(), reason: error.to_string() })
}

pub(crate) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // File, line, thread and busy times cost more per span than they tell.
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("tradewind"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
}
