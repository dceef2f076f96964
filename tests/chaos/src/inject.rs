//! Does a fault to the world, and undoes it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::{Installation, SOON};
use sandbox::faults::{Fault as Spoiled, RetryAfter, Rule};
use service_kit::Exit;
use tokio::time::sleep;

use crate::proxy::Toxic;
use crate::schedule::{Answer, Fault};
use crate::world::Breakable;

/// Breaks it, waits, and mends it: afterwards everything runs.
pub(crate) async fn inject(it: &Installation, parts: &mut Breakable, fault: &Fault, lasting: Duration) -> anyhow::Result<()> {
    if let Fault::Within(outer, inner) = fault {
        begin(it, parts, outer, lasting).await?;
        for next in inner {
            sleep(next.after).await;
            Box::pin(inject(it, parts, &next.fault, next.lasting)).await?;
        }
        sleep(lasting.saturating_sub(fault.inner())).await;
        return end(it, parts, outer).await;
    }
    match fault {
        Fault::SessionsEnded => end_sessions(it, lasting).await,
        Fault::SessionsRefused => refuse_sessions(it, lasting).await,
        Fault::TableLocked => lock(it, lasting).await,
        _ => {
            begin(it, parts, fault, lasting).await?;
            sleep(lasting).await;
            end(it, parts, fault).await
        }
    }
}

/// What is broken from now on. Rules of the doubles and what ails a way end by themselves.
async fn begin(it: &Installation, parts: &mut Breakable, fault: &Fault, lasting: Duration) -> anyhow::Result<()> {
    match fault {
        Fault::KafkaKilled => parts.kafka.kill().await,
        Fault::KafkaFrozen => parts.kafka.freeze(),
        Fault::PostgresKilled => parts.postgres.kill().await,
        Fault::PostgresFrozen => parts.postgres.freeze(),
        Fault::Way(edge, toxic) => parts.edges[edge].set_for(*toxic, lasting),
        Fault::Killed(program, which) => parts.process(*program, *which).service().kill(),
        Fault::Ended(program, which) => {
            let begun = Instant::now();
            let ended = parts.process(*program, *which).service().terminate(SOON).await;
            anyhow::ensure!(begun.elapsed() <= GRACE, "{} took {:?} to end", program.name(), begun.elapsed());
            anyhow::ensure!(
                ended.code().is_some_and(|it| ENDED_WELL.iter().any(|well| i32::from(well.code()) == it)),
                "{} ended with {ended} at SIGTERM",
                program.name()
            );
        }
        Fault::Frozen(program, which) => parts.process(*program, *which).service().freeze(),
        Fault::Erp(Answer::Flaps) => it.erp.flap(lasting / 4, lasting / 4, 2),
        Fault::Erp(answer) => {
            for rule in rules(*answer) {
                it.erp.fault(rule.always().lasting(lasting))?;
            }
        }
        Fault::ShopThrottles => it.shop.throttle(5),
        Fault::WebhooksLost => it.shop.hold(),
        Fault::ShopFails => {
            it.shop.plan().add(Rule::new(Spoiled::status(503)).share(0.5).always().lasting(lasting))?;
        }
        Fault::SessionsEnded | Fault::SessionsRefused | Fault::TableLocked | Fault::Within(..) => {
            anyhow::bail!("{fault:?} has nothing within it")
        }
    }
    Ok(())
}

async fn end(it: &Installation, parts: &mut Breakable, fault: &Fault) -> anyhow::Result<()> {
    match fault {
        Fault::KafkaKilled => parts.kafka.start().await,
        Fault::KafkaFrozen => parts.kafka.thaw(),
        Fault::PostgresKilled => parts.postgres.start().await,
        Fault::PostgresFrozen => parts.postgres.thaw(),
        Fault::Way(edge, _) => parts.edges[edge].set(Toxic::Clear),
        Fault::Killed(program, which) | Fault::Ended(program, which) => parts.process(*program, *which).service().restart(),
        Fault::Frozen(program, which) => parts.process(*program, *which).service().thaw(),
        Fault::Erp(Answer::Flaps) => it.erp.restore().await,
        Fault::WebhooksLost => drop(it.shop.lose()),
        _ => {}
    }
    Ok(())
}

/// All done, or the rest left to the next start: with a broker or a database that is just back, not everything can be brought
/// to its end within the grace period.
const ENDED_WELL: [Exit; 2] = [Exit::Ok, Exit::LeftOver];

/// What Kubernetes gives unless told otherwise (`terminationGracePeriodSeconds`); who still runs is killed.
const GRACE: Duration = Duration::from_secs(30);

async fn end_sessions(it: &Installation, lasting: Duration) -> anyhow::Result<()> {
    let others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    for _ in 0..(lasting.as_millis() / 200).max(1) {
        sqlx::query(others).execute(it.store.pool()).await.context("sessions are ended")?;
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// What PostgreSQL says where all its sessions are taken; whoever may do everything is let in.
async fn refuse_sessions(it: &Installation, lasting: Duration) -> anyhow::Result<()> {
    let room = async |sessions: i32| {
        let sql = format!("do $$ begin execute format('alter database %I connection limit {sessions}', current_database()); end $$");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(it.store.pool()).await.context("the room for sessions is set")
    };
    room(0).await?;
    let ended = end_sessions(it, lasting).await;
    room(-1).await?;
    ended
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
