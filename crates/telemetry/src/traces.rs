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

/// Without an endpoint nothing is sampled: spans cost little then, and still give records their context.
pub(crate) fn provider(settings: &TraceSettings, resource: Resource) -> Result<TracerProviderBuilder, Error> {
    let builder = SdkTracerProvider::builder().with_resource(resource);
    match &settings.endpoint {
        None => Ok(builder.with_sampler(Sampler::AlwaysOff)),
        Some(endpoint) => Ok(builder.with_sampler(sampler(settings)).with_batch_exporter(exporter(endpoint, settings)?)),
    }
}

/// Whoever began the trace decided: a trace is exported in full or not at all.
pub(crate) fn sampler(settings: &TraceSettings) -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::trace::{Span as _, Tracer as _};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    fn to(endpoint: String) -> TraceSettings {
        TraceSettings { endpoint: Some(endpoint), timeout: Duration::from_millis(200), ..TraceSettings::default() }
    }

    /// Not a whole collector: it takes what comes and never answers, which the flush has to survive as well.
    #[tokio::test(flavor = "multi_thread")]
    async fn spans_go_to_the_collector_and_a_mute_one_does_not_hold_the_flush() {
        let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = to(format!("http://{}", collector.local_addr().unwrap()));
        let provider = provider(&settings, Resource::builder().build()).unwrap().build();
        provider.tracer("test").start("work").end();
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(Duration::from_secs(5)));
        let (mut connection, _) = tokio::time::timeout(Duration::from_secs(10), collector.accept()).await.expect("it connects").unwrap();
        let mut begin = [0; 14];
        connection.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"PRI * HTTP/2.0");
        tokio::time::timeout(Duration::from_secs(10), flushed).await.expect("the flush ends").unwrap().ok();
    }

    #[tokio::test]
    async fn an_endpoint_may_be_encrypted_and_has_to_be_one() {
        assert!(provider(&to("https://collector.example:4317".to_owned()), Resource::builder().build()).is_ok());
        assert!(provider(&to("http://not an address".to_owned()), Resource::builder().build()).is_err());
    }
}
