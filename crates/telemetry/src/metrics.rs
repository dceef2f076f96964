//! The registry behind `/metrics`.

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};

use crate::install::Error;

/// What this process counts, in Prometheus' text format.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
}

impl Metrics {
    /// Of [`Metrics::render`].
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// One registry per installation of telemetry: tests in one process don't see each other's.
    pub(crate) fn new(resource: Resource, version: &'static str) -> Result<Self, Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self())).map_err(|error| Error::Metrics(error.to_string()))?;
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(|error| Error::Metrics(error.to_string()))?;
        let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(exporter).build();
        let build = provider.meter("tradewind").u64_gauge("tradewind_build_info").with_description("1; its label says what runs").build();
        build.record(1, &[KeyValue::new("version", version)]);
        Ok(Self { registry, provider })
    }

    pub(crate) fn install(&self) {
        global::set_meter_provider(self.provider.clone());
    }

    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics could not be written");
            String::new()
        })
    }
}
