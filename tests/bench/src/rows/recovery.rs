//! Row 9: an ERP goes away under a steady stream of commands and comes back. The limit is arithmetic: of λ commands a second for
//! an outage of T seconds, an ERP that does μ a second is through λ·T / (μ − λ) seconds after its return. μ is what it can do
//! by its own clock: calls at once / time of a call.
//!
//! Beside us, one after the other, Confluent's Parallel Consumer over the same stream: it keeps the order of a key as we do, and
//! no ledger.
//!
//! Oracle: the ERP's own log. Of each order every command was done once, in its order and never two at once.

mod account;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bus::{BusSettings, Producer, Role};
use contracts::topics;
use domain::TargetId;
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::Bench;
use crate::commands::Commands;
use crate::erp::Erp;
use crate::kafka;
use crate::parties::Ready;
use crate::parties::adapter::{Farewell, LastingOrders};
use crate::parties::groups::GroupOrders;
use crate::process::{Party, memory_mb};
use crate::stats::{Spread, short};
use crate::table::{Line, Target};

use account::{Account, Stream};

/// What the ERP takes at once, and how long a call is.
const SLOTS: usize = 15;
const LATENCY: Duration = Duration::from_millis(100);
const BUNDLE: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Its port is closed.
    Gone,
    /// It answers 503, and so knows how often it was asked.
    Ill,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    how: How,
    /// μ / λ.
    ease: f64,
    outage: Duration,
    /// Before the outage; what is counted as steady is its second half.
    steady: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Us,
    Peer,
}

pub(super) async fn row(bench: &mut Bench) -> anyhow::Result<Vec<Line>> {
    let seconds = |full, tiny| Duration::from_secs(bench.size.of(full, tiny) as u64);
    let (long, short, steady) = (seconds(20, 4), seconds(10, 2), seconds(10, 6));
    let mut plans = vec![Plan { how: How::Gone, ease: 2.0, outage: long, steady }];
    if bench.size.of(1, 0) == 1 {
        plans.push(Plan { how: How::Gone, ease: 5.0, outage: long, steady });
    }
    plans.push(Plan { how: How::Ill, ease: 2.0, outage: short, steady });
    let mut lines = Vec::new();
    for (index, plan) in plans.iter().enumerate() {
        lines.extend(ours(plan, measure(bench, Who::Us, index, plan).await));
        lines.push(theirs(bench, index, plan).await);
    }
    Ok(lines)
}

async fn theirs(bench: &mut Bench, index: usize, plan: &Plan) -> Line {
    let job = format!("beside it, Parallel Consumer by key, a second between two tries: {}", what(plan));
    if bench.peer.is_none() {
        return Line::void("9", job, "it is not there: bench.sh says why");
    }
    match measure(bench, Who::Peer, index, plan).await {
        Ok(account) => {
            let Account { first_success, most_at_once, calls, lost, doubled, reordered, .. } = &account;
            let measured = format!(
                "drained in {} s; first success after {} s, {calls} calls, {most_at_once} at once; {lost} lost, {doubled} doubled, {reordered} reordered",
                short(account.drained),
                short(*first_success),
            );
            Line::ratio("9", job, measured, format!("{} s", short(account.formula)), once(account.ratio()), Target::None)
        }
        Err(error) => Line::void("9", job, format!("{error:#}")),
    }
}

fn what(plan: &Plan) -> String {
    let how = if plan.how == How::Gone { "refuses" } else { "answers 503" };
    format!("the ERP {how} for {} s, μ/λ {}", plan.outage.as_secs(), plan.ease)
}

fn once(figure: f64) -> Spread {
    Spread::of([figure])
}

fn ours(plan: &Plan, account: anyhow::Result<Account>) -> Vec<Line> {
    let what = what(plan);
    let account = match account {
        Ok(account) => account,
        Err(error) => return vec![Line::void("9", what, format!("{error:#}"))],
    };
    let figure = |job: &str, figure: f64, measured: String, target| {
        Line::figure("9", format!("{what}: {job}"), figure, measured, String::new(), target)
    };
    let formula = format!("{} s = λ·T/(μ−λ), λ {}/s, μ {}/s", short(account.formula), short(account.lambda), short(account.mu));
    // By the second, as what is allowed is.
    let calls_max = 15.0 * plan.outage.as_secs_f64();
    let wrong = account.lost + account.doubled + account.reordered + account.letters;
    let wrong_text = format!(
        "{} lost, {} doubled, {} reordered, {} dead-lettered of {}",
        account.lost, account.doubled, account.reordered, account.letters, account.commands
    );
    let drained = format!("{} s", short(account.drained));
    vec![
        Line::ratio(
            "9",
            format!("{what}: time until it has caught up"),
            drained,
            formula,
            once(account.ratio()),
            Target::AtMost(1.05, "x"),
        ),
        figure(
            "first success after its return",
            account.first_success,
            format!("{} s", short(account.first_success)),
            Target::AtMost(0.25, " s"),
        ),
        figure("calls while it is away", account.calls as f64, account.calls.to_string(), Target::AtMost(calls_max, "")),
        figure("most calls at once", account.most_at_once as f64, account.most_at_once.to_string(), Target::AtMost(SLOTS as f64, "")),
        figure("lost, doubled, reordered, dead-lettered", wrong as f64, wrong_text, Target::AtMost(0.0, "")),
        figure("more memory than before", account.more_mb, format!("{} MB", short(account.more_mb)), Target::AtMost(32.0, " MB")),
    ]
}

/// One party, one outage.
async fn measure(bench: &mut Bench, who: Who, index: usize, plan: &Plan) -> anyhow::Result<Account> {
    let name = if who == Who::Us { format!("recovery-{index}") } else { format!("recovery-peer-{index}") };
    let target: TargetId = name.parse()?;
    let bus = kafka::settings(&bench.brokers, &format!("{name}."));
    let topic = topics::commands(&target);
    kafka::make(&bus, &[&topic, topics::OUTCOMES]).await?;
    let topic = bus.topic(&topic);
    let database = bench.databases.fresh().await?;
    bench.databases.settle().await?;
    let mut erp = Erp::open(LATENCY).await?;

    let mut party = match who {
        Who::Us => adapter(bench, &bus, &topic, &name, &database, &erp).await?,
        Who::Peer => peer(bench, &topic, &name, &erp).await?,
    };
    let _: Ready = party.go(PATIENCE).await?;
    let load = Load::start(&bus, &topic, &target, SLOTS as f64 / LATENCY.as_secs_f64() / plan.ease)?;
    until("the first command is done", || Ok(!erp.log().effects.is_empty())).await?;
    tokio::time::sleep(plan.steady).await;

    let before_mb = memory_mb(party.pid, "VmRSS")?;
    let away = Instant::now();
    match plan.how {
        How::Gone => erp.go_away().await,
        How::Ill => erp.fall_ill(true),
    }
    tokio::time::sleep(plan.outage).await;
    match plan.how {
        How::Gone => erp.come_back().await?,
        How::Ill => erp.fall_ill(false),
    }
    let back = Instant::now();

    let stream = load.stream(away - plan.steady / 2, away, back);
    until("it has caught up", || Ok(stream.caught_up(&erp.log()).is_some())).await?;
    tokio::time::sleep(AFTERWARDS).await;
    let commands = load.stop().await?;
    until("all commands are done", || Ok(erp.log().effects.len() >= commands)).await.ok();
    let after_mb = memory_mb(party.pid, "VmHWM")?;
    let Farewell { refused } = party.go(PATIENCE).await?;
    party.stop().await;

    let mut account = {
        let log = erp.log();
        let mut account = Account::of(&log, &stream, &load_identities(&topic, &target, commands)?, SLOTS)?;
        account.calls =
            if plan.how == How::Gone { refused } else { log.requests.iter().filter(|it| (away..back).contains(*it)).count() as u64 };
        account
    };
    account.more_mb = after_mb - before_mb;
    if who == Who::Us {
        account.letters = letters(&database).await?;
        let outcomes = kafka::read_all(&bench.brokers, &bus.topic(topics::OUTCOMES)).await?.len();
        ensure!(outcomes >= commands, "{outcomes} outcomes of {commands} commands");
    }
    Ok(account)
}

fn load_identities(topic: &str, target: &TargetId, commands: usize) -> anyhow::Result<Vec<(String, u64)>> {
    let all = Commands::new(topic, target, BUNDLE)?;
    Ok((0..commands).map(|it| all.identity(it)).collect())
}

async fn adapter(bench: &Bench, bus: &BusSettings, topic: &str, target: &str, database: &str, erp: &Erp) -> anyhow::Result<Party> {
    let group = GroupOrders {
        brokers: bench.brokers.clone(),
        database: database.to_owned(),
        prefix: bus.prefix.clone(),
        input: topic.to_owned(),
        output: bus.topic(topics::OUTCOMES),
        records: 0,
    };
    let orders = LastingOrders { group, target: target.to_owned(), slots: SLOTS, erp: erp.address };
    let (party, _): (_, Ready) = Party::start("lasting-adapter", &orders, &bench.log("recovery"), bench.core).await?;
    Ok(party)
}

async fn peer(bench: &Bench, topic: &str, group: &str, erp: &Erp) -> anyhow::Result<Party> {
    let jars = bench.peer.as_deref().context("there is no peer")?;
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-Djdk.httpclient.disableRetryConnect=true", "-cp"]).arg(class_path(jars)).arg("Peer");
    command.args([&bench.brokers, topic, group, &format!("http://{}/", erp.address), &SLOTS.to_string(), PEER_RETRY_MS]);
    let (party, _): (_, Ready) = Party::launch("peer", command, &bench.log("peer"), bench.core).await?;
    Ok(party)
}

/// Its own class and the jars.
fn class_path(folder: &Path) -> String {
    format!("{0}/classes:{0}/libs/*", folder.display())
}

async fn letters(database: &str) -> anyhow::Result<u64> {
    let mut connection = PgConnection::connect(database).await?;
    let letters: i64 = sqlx::query_scalar("select count(*) from letters.letter").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(u64::try_from(letters)?)
}

async fn until(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() > PATIENCE {
            bail!("{PATIENCE:?} were not enough until {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Commands at a steady rate: number n is due n/λ seconds after the start, whatever became of the ones before it.
struct Load {
    begun: Instant,
    lambda: f64,
    sent: Arc<AtomicUsize>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Load {
    fn start(bus: &BusSettings, topic: &str, target: &TargetId, lambda: f64) -> anyhow::Result<Self> {
        let (producer, all) = (Producer::new(bus, "bench", Role::Relay)?, Commands::new(topic, target, BUNDLE)?);
        let (sent, stop, begun) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new(), Instant::now());
        let (counter, until) = (Arc::clone(&sent), stop.clone());
        let task = tokio::spawn(async move {
            let mut confirmations = Vec::new();
            for number in 0.. {
                let due = begun + Duration::from_secs_f64(number as f64 / lambda);
                if until.run_until_cancelled(tokio::time::sleep_until(due.into())).await.is_none() {
                    break;
                }
                confirmations.push(producer.enqueue(&all.record(number)?)?);
                counter.fetch_add(1, Ordering::Release);
            }
            futures_util::future::try_join_all(confirmations).await?;
            Ok(())
        });
        Ok(Self { begun, lambda, sent, stop, task })
    }

    fn stream(&self, steady_from: Instant, away: Instant, back: Instant) -> Stream {
        Stream { begun: self.begun, lambda: self.lambda, steady_from, away, back }
    }

    /// How many commands there were.
    async fn stop(self) -> anyhow::Result<usize> {
        self.stop.cancel();
        self.task.await.context("the load panicked")??;
        Ok(self.sent.load(Ordering::Acquire))
    }
}

/// What its documentation gives as the default.
const PEER_RETRY_MS: &str = "1000";
/// The load goes on for so long after it has caught up.
const AFTERWARDS: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(180);
