//! Does a fault to the world, and undoes it.

use std::time::Duration;

use anyhow::Context as _;
use e2e::{Installation, SOON};
use sandbox::faults::{Fault as Spoiled, RetryAfter, Rule};
use testkit::Server;
use tokio::time::sleep;

use crate::proxy::Toxic;
use crate::schedule::{Answer, Fault};
use crate::world::Breakable;

/// Breaks it, waits, and mends it: afterwards everything runs.
pub(crate) async fn inject(it: &Installation, parts: &mut Breakable, fault: &Fault, lasting: Duration) -> anyhow::Result<()> {
    match fault {
        Fault::KafkaKilled => kill(&parts.kafka, lasting).await,
        Fault::KafkaFrozen => freeze(&parts.kafka, lasting).await,
        Fault::PostgresKilled => kill(&parts.postgres, lasting).await,
        Fault::PostgresFrozen => freeze(&parts.postgres, lasting).await,
        Fault::SessionsEnded => {
            let others =
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
            for _ in 0..(lasting.as_millis() / 200).max(1) {
                sqlx::query(others).execute(it.store.pool()).await.context("sessions are ended")?;
                sleep(Duration::from_millis(200)).await;
            }
        }
        Fault::TableLocked => lock(it, lasting).await?,
        Fault::Way(edge, toxic) => {
            parts.edges[edge].set(*toxic);
            sleep(lasting).await;
            parts.edges[edge].set(Toxic::Clear);
        }
        Fault::Killed(program, which) => {
            let process = parts.process(*program, *which).service();
            process.kill();
            sleep(lasting).await;
            process.restart();
        }
        Fault::Ended(program, which) => {
            let process = parts.process(*program, *which).service();
            let ended = process.terminate(SOON).await;
            anyhow::ensure!(ended.code() == Some(0), "{} ended with {ended} at SIGTERM", program.name());
            sleep(lasting).await;
            process.restart();
        }
        Fault::Frozen(program, which) => {
            let process = parts.process(*program, *which).service();
            process.freeze();
            sleep(lasting).await;
            process.thaw();
        }
        Fault::Erp(Answer::Flaps) => {
            let half = lasting / 4;
            it.erp.flap(half, half, 2);
            sleep(lasting).await;
            it.erp.restore().await;
        }
        Fault::Erp(answer) => {
            for rule in rules(*answer) {
                it.erp.fault(rule.always().lasting(lasting))?;
            }
            sleep(lasting).await;
        }
        Fault::ShopThrottles => {
            it.shop.throttle(5);
            sleep(lasting).await;
        }
        Fault::ShopFails => {
            it.shop.plan().add(Rule::new(Spoiled::status(503)).share(0.5).always().lasting(lasting))?;
            sleep(lasting).await;
        }
    }
    Ok(())
}

async fn kill(server: &Server, lasting: Duration) {
    server.kill().await;
    sleep(lasting).await;
    server.start().await;
}

async fn freeze(server: &Server, lasting: Duration) {
    server.freeze();
    sleep(lasting).await;
    server.thaw();
}

/// In one transaction of somebody who takes their time.
async fn lock(it: &Installation, lasting: Duration) -> anyhow::Result<()> {
    let seconds = lasting.as_secs_f64();
    let locked = format!("begin; lock table letters.parked, ingest.entity in access exclusive mode; select pg_sleep({seconds}); commit");
    sqlx::raw_sql(sqlx::AssertSqlSafe(locked)).execute(it.store.pool()).await.context("a table is locked")?;
    Ok(())
}

/// Half of what comes is hit, so that some of the calls of each operation pass.
fn rules(answer: Answer) -> Vec<Rule> {
    let share = |fault: Spoiled| vec![Rule::new(fault).share(0.5)];
    let applied = |fault: Spoiled| vec![Rule::new(fault).applied().share(0.5)];
    match answer {
        Answer::Fails => share(Spoiled::status(500)),
        Answer::Away => vec![Rule::new(Spoiled::status(503))],
        Answer::AwayUntil => vec![Rule::new(Spoiled::retry_later(503, RetryAfter::DateIn(2)))],
        Answer::TooMany => share(Spoiled::retry_later(429, RetryAfter::Seconds(1))),
        Answer::Unauthorized => vec![Rule::new(Spoiled::status(401))],
        Answer::AppliedSilence => applied(Spoiled::Silence),
        Answer::AppliedReset => applied(Spoiled::Reset),
        Answer::AppliedFails => applied(Spoiled::status(500)),
        Answer::LoginPage => share(Spoiled::LoginPage),
        Answer::HalfBody => share(Spoiled::HalfBody),
        Answer::CutOff => share(Spoiled::CutOff),
        Answer::InvalidUtf8 => share(Spoiled::InvalidUtf8),
        Answer::Drip => share(Spoiled::Drip { interval_ms: 50 }),
        Answer::Endless => share(Spoiled::Endless),
        Answer::Redirect => share(Spoiled::Redirect { status: 302, location: "http://169.254.169.254/".to_owned() }),
        Answer::Flaps => Vec::new(),
    }
}
