//! One run: start, break, mend, ask.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::{Installation, Program, SOON};
use sandbox::effects::Kind;
use sandbox::shopify::traces;
use store::account::Account;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::directed::{Deaths, die_everywhere};
use crate::inject::inject;
use crate::invariants::{self, Evidence, Snapshot};
use crate::load::{Done, Load, UNKNOWN_SKU};
use crate::lost::{last_changes, not_found};
use crate::mending::{self, Mended, mend};
use crate::report::Report;
use crate::resources::Resources;
use crate::rest::{Rest, give_up_or_replay};
use crate::schedule::{Plan, Planned};
use crate::unseen::unseen_sales_count;
use crate::watch::{Seen, watch};
use crate::world::{Breakable, Which, World};

/// Fails where the world could not even be started; everything else is in the report.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let folder = tempfile::Builder::new().prefix("tradewind-chaos-").tempdir()?;
    let mut world = World::start(plan.seed, folder.path()).await?;
    let ending = play(&mut world, plan).await;
    let logs: Vec<_> = world.parts.processes().map(|(name, process)| (name, process.service().log())).collect();
    let mut report = Report::of(plan);
    match ending {
        Ok(ending) => tell(&mut report, &world.it, ending, &logs).await,
        Err(error) => report.broke_off = Some(format!("{error:#}")),
    }
    report.figures.took = begun.elapsed();
    report.count_what_is_wrong();
    if !report.holds() {
        plan.write(&folder.path().join("schedule.json"))?;
        report.kept = Some(keep(folder, &logs, &world.database).await?);
    }
    Ok(report)
}

/// What is known when everything is at rest again.
struct Ending {
    broken: Broken,
    settled: Settled,
    resources: Vec<(String, Resources, Resources)>,
    health: Vec<String>,
}

struct Settled {
    settled_in: Duration,
    before_repair: Snapshot,
    account: Account,
    unseen: Vec<String>,
    restless: Vec<String>,
}

async fn play(world: &mut World, plan: &Plan) -> anyhow::Result<Ending> {
    let before = resources(&mut world.parts);
    let broken = break_it(world, plan).await?;

    let World { it, parts, .. } = world;
    let settled = attended(parts, settle(it, plan, &broken)).await?;
    let health = health(parts).await;
    // Kafka was frozen for it, and takes a moment to answer again.
    testkit::eventually(SOON, async || it.scope().await).await;
    let after = resources(parts);
    let resources = before.into_iter().zip(after).map(|((name, before), (_, after))| (name, before, after)).collect();
    Ok(Ending { broken, settled, resources, health })
}

/// All comes to rest; then operators repair and replay, and it comes to rest once more.
async fn settle(it: &Installation, plan: &Plan, broken: &Broken) -> anyhow::Result<Settled> {
    let (mended, mut rest) = (Instant::now(), Rest::within(Duration::from_secs(plan.patience)));
    let changes = last_changes(it);
    rest.comes_when("what the shop had lost was not found", async || not_found(it, &changes).await > 0).await;
    let account = rest.comes(it).await?;
    let settled_in = mended.elapsed();
    let overtaken = [sold_too_early(it, &broken.done), tried_too_early(it).await?].concat();
    let before_repair = Snapshot { account, overtaken };
    // What operators do once all is well again: the ERP gets what it lacked.
    for lacking in [UNKNOWN_SKU].into_iter().chain(broken.mended.lacking.as_deref()) {
        mending::add(it, lacking);
    }
    give_up_or_replay(it, &mut rest).await?;
    rest.comes_to_stock(it).await;
    let unseen = unseen_sales_count(it, &mut rest).await?;
    rest.comes_to_stock(it).await;
    let account = rest.comes(it).await?;
    Ok(Settled { settled_in, before_repair, account, unseen, restless: rest.never })
}

/// Whoever ends meanwhile is started again.
async fn attended<T>(parts: &mut Breakable, work: impl Future<Output = T>) -> T {
    let attend = async {
        loop {
            sleep(Duration::from_millis(500)).await;
            parts.start_what_ended();
        }
    };
    tokio::select! {
        done = work => done,
        never = attend => never,
    }
}

/// Asks the checkers, and counts.
async fn tell(report: &mut Report, it: &Installation, ending: Ending, logs: &[(String, String)]) {
    let Ending { broken, settled, resources, health } = ending;
    let Settled { settled_in, before_repair, account, unseen, restless } = settled;
    let (deliveries, erp) = (traces(&it.shop.log().effects()), it.erp.effects());
    let evidence = Evidence {
        it,
        done: &broken.done,
        mended: broken.mended.while_it_ran,
        seen: &broken.seen,
        before_repair,
        account,
        deliveries,
        erp,
        logs,
        resources,
        health,
        unseen,
        restless,
    };
    report.invariants = invariants::check(&evidence).await;
    report.invariants.extend(broken.deaths.as_ref().map(Deaths::all_happened));
    report.figures.sent = evidence.deliveries.len();
    report.figures.acked = evidence.deliveries.values().filter(|it| it.is_acked()).count();
    report.figures.orders = broken.done.orders + broken.mended.orders;
    report.figures.odd = [broken.done.repeats, broken.done.poison, broken.done.forgeries.len() as u64];
    // A request may do several things, and what people do in the ERP itself was asked by nobody.
    let applied: BTreeSet<u64> = evidence.erp.entries().iter().filter(|it| it.kind == Kind::Applied).filter_map(|it| it.request).collect();
    report.figures.applied = applied.len();
    report.figures.requests = evidence.erp.entries().iter().filter(|it| it.kind == Kind::Received).count();
    report.figures.slowest_heal = broken.slowest_heal;
    report.figures.settled_in = settled_in;
    report.deaths = broken.deaths;
}

struct Broken {
    done: Done,
    mended: Mended,
    seen: Seen,
    slowest_heal: Duration,
    /// Of a run that is about them.
    deaths: Option<Deaths>,
}

/// The load and the watch go on while one thing after the other breaks.
async fn break_it(world: &mut World, plan: &Plan) -> anyhow::Result<Broken> {
    let World { it, parts, .. } = world;
    let stop = CancellationToken::new();
    let breaking = async {
        let broken = break_all(it, parts, &plan.faults).await;
        let deaths = if plan.kill_points > 0 { Some(die_everywhere(it, parts, plan).await) } else { None };
        stop.cancel();
        (broken, deaths)
    };
    let load = Load::new(plan.seed, it).run(it, plan.rate, stop.clone());
    let (done, mended, seen, (broken, deaths)) =
        tokio::join!(load, mend(it, stop.clone()), watch(it, plan.still_max(), stop.clone()), breaking);
    let deaths = deaths.transpose()?;
    let slowest_heal = broken?.max(deaths.as_ref().map_or(Duration::ZERO, |it| it.slowest_heal));
    Ok(Broken { done, mended, seen, slowest_heal, deaths })
}

async fn break_all(it: &Installation, parts: &mut Breakable, planned: &[Planned]) -> anyhow::Result<Duration> {
    let mut slowest_heal = Duration::ZERO;
    for next in planned {
        sleep(next.after).await;
        eprintln!("{next}");
        inject(it, parts, &next.fault, next.lasting).await.with_context(|| format!("{next}"))?;
        parts.start_what_ended();
        slowest_heal = slowest_heal.max(first_effect(it).await);
    }
    Ok(slowest_heal)
}

/// How long until something happens in the ERP again.
pub(crate) async fn first_effect(it: &Installation) -> Duration {
    let (begun, last) = (Instant::now(), it.erp.log().last());
    let happens = async {
        while !it.erp.log().since(last).iter().any(|it| it.kind == Kind::Applied) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    // The next fault is not kept waiting for long.
    timeout(HEAL_MAX, happens).await.map_or(HEAL_MAX, |()| begun.elapsed())
}

fn sold_too_early(it: &Installation, done: &Done) -> Vec<String> {
    let is_sold = |id: &str| it.erp.sales_of(id).iter().any(|sale| !matches!(sale.state, "draft" | "quotation"));
    let sold = done.unbookable.iter().filter(|key| key.rsplit('/').next().is_some_and(is_sold));
    sold.map(|key| format!("{key} is sold in the ERP, which did not know its item")).collect()
}

/// Where keys are parked, what follows a letter is held: none of it has a failure of its own. The mapper's letters park nothing.
async fn tried_too_early(it: &Installation) -> anyhow::Result<Vec<String>> {
    let sql = "select format('%s tried number %s of %s while number %s was open', late.grp, late.ordinal, late.aggregate, first.ordinal)
               from letters.letter first join letters.letter late using (grp, aggregate)
               where first.ordinal < late.ordinal and first.state in ('dead', 'waiting') and late.state in ('dead', 'waiting')
                 and grp <> 'mapper'";
    Ok(sqlx::query_scalar(sql).fetch_all(it.store.pool()).await?)
}

/// All are well at the end; and the door says so when neither Kafka nor PostgreSQL would keep what it takes.
async fn health(parts: &mut Breakable) -> Vec<String> {
    let mut wrong = std::mem::take(&mut parts.fallen);
    for (name, process) in parts.processes() {
        for path in ["/live", "/ready"] {
            match process.ask(path).await {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => {}
                other => wrong.push(format!("{name} {path}: {other:?}")),
            }
        }
    }
    parts.kafka.freeze();
    parts.postgres.freeze();
    let unready = async {
        while parts.process(Program::Ingest, Which::First).ask("/ready").await.is_ok_and(|it| it.starts_with("HTTP/1.1 200")) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    if timeout(Duration::from_secs(30), unready).await.is_err() {
        wrong.push("storefront-ingest calls itself ready with neither Kafka nor PostgreSQL".to_owned());
    }
    parts.kafka.thaw();
    parts.postgres.thaw();
    wrong
}

fn resources(parts: &mut Breakable) -> Vec<(String, Resources)> {
    parts.processes().map(|(name, process)| (name, Resources::of(process.service().id()))).collect()
}

/// For whoever looks for the cause. Returns where it is.
async fn keep(folder: TempDir, logs: &[(String, String)], database: &str) -> anyhow::Result<PathBuf> {
    let path = folder.keep();
    for (name, log) in logs {
        std::fs::write(path.join(format!("{name}.log")), log)?;
    }
    let dumped = Command::new("pg_dump").arg("--file").arg(path.join("database.sql")).arg(database).status().await?;
    anyhow::ensure!(dumped.success(), "pg_dump ended with {dumped}");
    Ok(path)
}

const HEAL_MAX: Duration = Duration::from_secs(10);
