//! The smallest service: it beats. Every service's `main.rs` looks like this one, with more in `run`.
//!
//! `mode` is for the tests of this crate: a service that fails, and how.

use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service_kit::{AdminSettings, Ended, Life, SecretFile, ServiceInfo, ServiceSettings, Startup, Tasks, TelemetrySettings, Validate};

const DEFAULTS: &str = r#"# How long a stop waits for the work at hand.
grace = "10s"
# Between two beats.
every = "20ms"
# beat, refused, fail or hang.
mode = "beat"

[admin]
listen = "127.0.0.1:0"

[telemetry]
# error, warn, info, debug or trace.
level = "info"
format = "text"
"#;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(with = "humantime_serde")]
    grace: Duration,
    #[serde(with = "humantime_serde")]
    every: Duration,
    mode: String,
    key_file: Option<SecretFile>,
    admin: AdminSettings,
    telemetry: TelemetrySettings,
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), Vec<String>> {
        if self.every.is_zero() { Err(vec!["every must be longer than nothing".to_owned()]) } else { Ok(()) }
    }
}

impl ServiceSettings for Settings {
    fn telemetry(&self) -> &TelemetrySettings {
        &self.telemetry
    }

    fn admin(&self) -> &AdminSettings {
        &self.admin
    }

    fn grace(&self) -> Duration {
        self.grace
    }
}

fn main() -> ExitCode {
    let info = ServiceInfo {
        name: "heartbeat",
        about: "Beats, and reads and writes nothing",
        version: env!("CARGO_PKG_VERSION"),
        defaults_toml: DEFAULTS,
        parts: vec![("heart", "1.0".to_owned())],
    };
    service_kit::main(info, run)
}

async fn run(settings: Settings, life: Life) -> anyhow::Result<Ended> {
    let begun = life.readiness.latch("heart");
    if settings.mode == "refused" {
        Err("nobody is there").map_err(Startup::refused("the heart could not be reached"))?;
    }
    let heart = life.liveness.heartbeat("heart", Duration::from_secs(30));
    let mut tasks = Tasks::new(life.stop.clone());
    let stop = life.stop.clone();
    tasks.spawn("beat", async move {
        while stop.run_until_cancelled(tokio::time::sleep(settings.every)).await.is_some() {
            heart.beat();
            begun.release();
            if settings.mode == "fail" {
                return Err("the heart stopped");
            }
        }
        if settings.mode == "hang" {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    Ok(tasks.run(settings.grace).await?)
}
