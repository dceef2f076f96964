//! Every service as a task of this process, with the settings that it would have in a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::BusSettings;
use connector::Platforms;
use serde::Serialize;
use serde::de::DeserializeOwned;
use service_kit::{Ended, Life, TelemetrySettings, Validate};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::dev::NO_ENVIRONMENT;
use crate::installation::Files;

pub(crate) struct Services {
    stop: CancellationToken,
    lives: Vec<(&'static str, Life)>,
    running: Mutex<Vec<JoinHandle<()>>>,
    failure: watch::Receiver<Option<String>>,
    report: Arc<watch::Sender<Option<String>>>,
}

pub(crate) fn platforms() -> Platforms {
    Platforms::default().with_storefront(connector_shopify::Shopify).with_erp(connector_tryton::Tryton)
}

/// The terminal is for the progress: it shows what a human must act on.
pub(crate) fn telemetry_settings(demo: bool) -> TelemetrySettings {
    let level = std::env::var("TRADEWIND_LOG").unwrap_or_else(|_| if demo { "off" } else { "warn" }.to_owned());
    TelemetrySettings { level, ..TelemetrySettings::default() }
}

impl Services {
    /// `bus`: of the embedded broker, whose clients count together what it holds.
    pub(crate) fn start(files: &Files, bus: &BusSettings) -> anyhow::Result<Self> {
        let (report, failure) = watch::channel(None);
        let mut services =
            Self { stop: CancellationToken::new(), lives: Vec::new(), running: Mutex::default(), failure, report: Arc::new(report) };
        let mut settings: dead_letter_replayer::Settings = load(&files.replayer, dead_letter_replayer::DEFAULTS)?;
        settings.bus = bus.clone();
        services.spawn("dead-letter-replayer", |life| dead_letter_replayer::run(settings, life));
        let mut settings: erp_adapter::Settings = load(&files.adapter, erp_adapter::config::DEFAULTS)?;
        settings.bus = bus.clone();
        services.spawn("erp-adapter", |life| erp_adapter::run(settings, platforms(), life));
        let mut settings: inventory_sync::Settings = load(&files.stock, inventory_sync::config::DEFAULTS)?;
        settings.bus = bus.clone();
        services.spawn("inventory-sync", |life| inventory_sync::run(settings, platforms(), life));
        let mut settings: order_router::Settings = load(&files.router, order_router::config::DEFAULTS)?;
        settings.bus = bus.clone();
        services.spawn("order-router", |life| order_router::run(settings, life));
        let mut settings: storefront_ingest::Settings = load(&files.ingest, storefront_ingest::DEFAULTS)?;
        settings.bus = bus.clone();
        services.spawn("storefront-ingest", |life| storefront_ingest::run(settings, platforms(), life));
        Ok(services)
    }

    fn spawn<F>(&mut self, name: &'static str, run: impl FnOnce(Life) -> F)
    where
        F: Future<Output = anyhow::Result<Ended>> + Send + 'static,
    {
        let life = Life::new(self.stop.child_token());
        let (running, stop, report) = (run(life.clone()), self.stop.clone(), Arc::clone(&self.report));
        self.lives.push((name, life));
        let task = tokio::spawn(async move {
            let outcome = running.await;
            let ended = match outcome {
                Ok(_) if stop.is_cancelled() => return,
                Ok(_) => format!("{name} ended by itself"),
                Err(error) => format!("{name} failed: {error:#}"),
            };
            tracing::error!("{ended}");
            report.send_replace(Some(ended));
        });
        self.running.get_mut().push(task);
    }

    pub(crate) async fn ready(&self, deadline: Duration) -> anyhow::Result<()> {
        let all = async {
            for (_, life) in &self.lives {
                life.readiness.ready().await;
            }
        };
        tokio::select! {
            ready = tokio::time::timeout(deadline, all) => ready.ok().context("the services did not get ready in time; see the log"),
            failed = self.failed() => anyhow::bail!("{failed}"),
        }
    }

    pub(crate) async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        let failed = failure.wait_for(Option::is_some).await;
        failed.ok().and_then(|it| it.clone()).unwrap_or_else(|| "a service ended".to_owned())
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.running.into_inner() {
            if tokio::time::timeout(Duration::from_secs(20), task).await.is_err() {
                tracing::warn!("a service did not stop in time");
            }
        }
    }
}

fn load<T: DeserializeOwned + Serialize + Validate>(file: &Path, defaults: &str) -> anyhow::Result<T> {
    Ok(service_kit::settings::load(defaults, Some(file), NO_ENVIRONMENT)?)
}
