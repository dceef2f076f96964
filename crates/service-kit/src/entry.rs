//! The `main` of every service: command line, settings, telemetry, admin port, signals, `run`, and the exit code.

mod args;

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::exit::{Exit, Startup};
use crate::life::Life;
use crate::settings::{AdminSettings, Loaded, TelemetrySettings, Validate, load_from, shown};
use crate::signals;
use crate::tasks::Ended;

use args::Args;

/// Who the service is.
#[derive(Debug, Clone)]
pub struct ServiceInfo {
    pub name: &'static str,
    /// One sentence: what it reads and what it writes.
    pub about: &'static str,
    pub version: &'static str,
    /// A complete settings file, every key explained.
    pub defaults_toml: &'static str,
    /// Versions of parts that are not Rust, for `/version`: `("librdkafka", …)`.
    pub parts: Vec<(&'static str, String)>,
}

/// The parts of a service's settings that are needed around `run`.
pub trait ServiceSettings: DeserializeOwned + Serialize + Validate + Send + 'static {
    fn telemetry(&self) -> &TelemetrySettings;
    fn admin(&self) -> &AdminSettings;
    /// How long `run` has between the stop and its end.
    fn grace(&self) -> Duration;
}

/// Variables are `TRADEWIND__<TABLE>__<KEY>`.
pub const ENV_PREFIX: &str = "TRADEWIND";

/// Runs a service as this process. `run` ends soon after `life.stop`, within the grace period, and says what it left undone.
pub fn main<S, F>(info: ServiceInfo, run: impl FnOnce(S, Life) -> F) -> ExitCode
where
    S: ServiceSettings,
    F: Future<Output = anyhow::Result<Ended>>,
{
    kill_point::reach(kill_point::Point::ProcessBegun);
    let args = match Args::parse(&info, std::env::args_os()) {
        Ok(args) => args,
        Err(said) => return say(&said),
    };
    if args.print_defaults {
        print!("{}", info.defaults_toml);
        return Exit::Ok.into();
    }
    let loaded = match load::<S>(&info, &args) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{}: {error}", info.name);
            return Exit::Settings.into();
        }
    };
    if args.show_config {
        print!("{}", shown(&loaded.settings));
    }
    if args.check || args.show_config {
        loaded.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        if args.check {
            println!("{}: the settings are good", info.name);
        }
        return Exit::Ok.into();
    }
    start(&info, loaded, run).into()
}

/// Help and version are asked for, the rest is a mistake.
fn say(said: &clap::Error) -> ExitCode {
    if said.print().is_err() {
        return Exit::Failed.into();
    }
    if said.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
}

/// As the settings that are common to all services are judged here, no service can forget it.
fn load<S: ServiceSettings>(info: &ServiceInfo, args: &Args) -> Result<Loaded<S>, crate::settings::Error> {
    let loaded: Loaded<S> = load_from(info.defaults_toml, args.config.as_deref(), ENV_PREFIX, std::env::vars_os())?;
    let problems = loaded.settings.telemetry().problems();
    if problems.is_empty() { Ok(loaded) } else { Err(crate::settings::Error::Invalid(problems)) }
}

fn start<S, F>(info: &ServiceInfo, loaded: Loaded<S>, run: impl FnOnce(S, Life) -> F) -> Exit
where
    S: ServiceSettings,
    F: Future<Output = anyhow::Result<Ended>>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{}: no threads to run on: {error}", info.name);
            return Exit::Refused;
        }
    };
    let exit = runtime.block_on(async {
        let guard = match telemetry::init(loaded.settings.telemetry(), info.name) {
            Ok(guard) => guard,
            Err(error) => {
                eprintln!("{}: {error}", info.name);
                return Exit::Settings;
            }
        };
        std::panic::set_hook(Box::new(log_panic));
        http_kit::install_crypto();
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let outcome = surround(info, &guard, loaded.settings, run).await;
        let exit = judge(info.name, &outcome);
        if let Err(error) = tokio::task::spawn_blocking(move || guard.flush()).await {
            tracing::warn!(%error, "telemetry was not flushed");
        }
        exit
    });
    // A client that hangs in its own shutdown does not keep the process: all that matters is stored by now.
    runtime.shutdown_timeout(Duration::from_secs(1));
    exit
}

/// `run`, with everything around it that outlives it.
async fn surround<S, F>(info: &ServiceInfo, guard: &telemetry::Guard, settings: S, run: impl FnOnce(S, Life) -> F) -> anyhow::Result<Ended>
where
    S: ServiceSettings,
    F: Future<Output = anyhow::Result<Ended>>,
{
    let stop = signals::stop_token().context("signals can't be received")?;
    let life = Life::new(stop.clone());
    let (listen, grace) = (settings.admin().listen, settings.grace());
    let listener = TcpListener::bind(listen).await.map_err(Startup::refused(format!("the admin port {listen} can't be opened")))?;
    let address = listener.local_addr().context("the admin port has no address")?;
    let admin_stop = CancellationToken::new();
    let admin = tokio::spawn(admin::serve_on(listener, admin(info, guard, &settings, &life), admin_stop.clone()));
    tracing::info!(version = info.version, admin = %address, "starting");

    let outcome = within(run(settings, life.clone()), &life, grace + OVERTIME).await;
    life.readiness.stop();
    admin_stop.cancel();
    match admin.await {
        Ok(_drained) => outcome,
        Err(error) => outcome.and(Err(error).context("the admin port failed")),
    }
}

/// `run` keeps the grace period itself; this is the net below it.
async fn within<F: Future<Output = anyhow::Result<Ended>>>(run: F, life: &Life, after_stop: Duration) -> anyhow::Result<Ended> {
    let over = async {
        life.stop.cancelled().await;
        life.readiness.stop();
        tokio::time::sleep(after_stop).await;
    };
    tokio::select! {
        outcome = run => outcome,
        () = over => {
            tracing::error!(?after_stop, "the service did not end in time after the stop");
            Ok(Ended { left_over: 1 })
        }
    }
}

fn admin<S: ServiceSettings>(info: &ServiceInfo, guard: &telemetry::Guard, settings: &S, life: &Life) -> Admin {
    let mut versions: BTreeMap<_, _> = info.parts.iter().cloned().collect();
    versions.insert("version", info.version.to_owned());
    Admin {
        service: info.name,
        versions,
        life: life.clone(),
        metrics: guard.metrics(),
        log_level: guard.log_level(),
        shown_settings: shown(settings),
    }
}

fn judge(name: &str, outcome: &anyhow::Result<Ended>) -> Exit {
    match outcome {
        Ok(Ended { left_over: 0 }) => {
            tracing::info!("stopped, nothing left over");
            Exit::Ok
        }
        Ok(Ended { left_over }) => {
            tracing::warn!(left_over, "stopped before all work was done; the next start takes it up");
            Exit::LeftOver
        }
        Err(error) => {
            let exit = Exit::of(error);
            tracing::error!(error = format!("{error:#}"), exit_code = exit.code(), "{name} failed");
            exit
        }
    }
}

/// Where panics are caught and go on as a failure of one record, this line is all that is left of the place.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let said = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, said, "panic, a bug in our code");
}

/// What ending takes beyond the grace period: aborted tasks, closed connections.
const OVERTIME: Duration = Duration::from_secs(3);
