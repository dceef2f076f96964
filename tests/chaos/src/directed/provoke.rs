//! What has to happen so that a process comes by a point.

use std::time::{Duration, Instant};

use e2e::{Installation, Program, SHOP, SOON, key, order};
use kill_point::Point;
use sandbox::erp::Item;
use sandbox::payloads::PaymentWish;
use sandbox::shopify::RawDelivery;
use tokio::time::sleep;
use uuid::Uuid;

use super::{Place, deaths};
use crate::load::UNKNOWN_SKU;
use crate::proxy::Toxic;
use crate::world::{Breakable, Edge, Which};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// It happens all the time.
    Load,
    /// The process is started anew.
    Start,
    /// Kafka is away until something is in the spool.
    KafkaAway,
    /// Somebody asks for a backfill.
    Backfill,
    /// The other process of the program leaves, and comes back.
    Rebalance,
    /// A delivery that is no order.
    Poison,
    /// An order of an item that the ERP does not know.
    Unbookable,
    /// Such an order is a letter, and then it is paid.
    Held,
    /// Such an order is a letter, the ERP gets the item, and somebody has it tried again.
    Replay,
}

/// What the scene needs later.
#[derive(Default)]
pub(super) struct Prepared {
    order: u64,
    letter: Uuid,
    sku: String,
}

impl Scene {
    pub(super) fn of(place: Place) -> Self {
        match place.point {
            Point::ProcessBegun => Self::Start,
            Point::DoorSpooled | Point::SpoolConfirmed => Self::KafkaAway,
            Point::ListingRead => Self::Backfill,
            Point::RevokeAsked | Point::RevokeSettled | Point::RevokeCommitted => Self::Rebalance,
            Point::LetterWritten | Point::LetterCommitted if place.program == Program::Ingest => Self::Poison,
            Point::LetterWritten | Point::LetterCommitted | Point::LetterParked => Self::Unbookable,
            Point::CopyProduced => Self::Poison,
            Point::LetterHeld => Self::Held,
            Point::LetterFreed | Point::LetterDrained | Point::LetterActed => Self::Replay,
            Point::ReplayWritten | Point::ReplayCommitted | Point::OutcomeProduced => Self::Replay,
            Point::DoorConfirmed
            | Point::RereadProduced
            | Point::ConsumerPolled
            | Point::LedgerCommitted
            | Point::PublishEnqueued
            | Point::PublishConfirmed
            | Point::RecordSettled
            | Point::OffsetStored
            | Point::StepClaimed
            | Point::StepFollowed
            | Point::StepAnswered
            | Point::HttpAnswered
            | Point::CaptureRead
            | Point::CaptureProduced
            | Point::PushNoted
            | Point::PushAnswered => Self::Load,
        }
    }

    /// How many of the program are to die, if they come by.
    pub(super) fn asks(self) -> usize {
        match self {
            // What is done to the one, or to the other, has the first one come by.
            Self::Rebalance | Self::Start => 1,
            _ => usize::MAX,
        }
    }

    /// Before anybody is asked to die.
    pub(super) async fn prepare(self, it: &Installation) -> anyhow::Result<Prepared> {
        let sku = match self {
            Self::Held => UNKNOWN_SKU.to_owned(),
            // One of its own: what is missing for the others stays missing.
            Self::Replay => format!("CAP-{}", Uuid::new_v4().simple()),
            _ => return Ok(Prepared::default()),
        };
        it.shop.add_article(&sku, Some(1_000));
        for _ in 0..ORDERS_MAX {
            let order = it.shop.place_order(&order().with(&sku, 1).discounted_by([]).paid_by(PaymentWish::Pending))?.id;
            // A delivery in twenty comes late, and one whose door dies comes again when its sender likes.
            if let Some(letter) = dead(it, order).await? {
                return Ok(Prepared { order, letter, sku });
            }
        }
        anyhow::bail!("of {ORDERS_MAX} orders of an unknown item none was a letter after {LETTER_MAX:?}")
    }

    pub(super) async fn play(self, it: &Installation, parts: &mut Breakable, of: Program, with: &Prepared) -> anyhow::Result<()> {
        match self {
            Self::Load => {}
            Self::Start => parts.process(of, Which::First).kill_and_restart(),
            Self::KafkaAway => kafka_away(it, parts, of).await?,
            Self::Backfill => backfill(it).await?,
            Self::Rebalance => {
                let second = parts.process(of, Which::Second).service();
                second.terminate(SOON).await;
                second.restart();
            }
            Self::Poison => drop(it.shop.send_raw(RawDelivery::new("orders/create", &b"{\"hello\": \"this is no order\"}"[..]))),
            Self::Unbookable => drop(it.shop.place_order(&order().with(UNKNOWN_SKU, 1).discounted_by([]).paid_by(PaymentWish::Paid))?),
            Self::Held => drop(it.shop.pay(with.order)?),
            Self::Replay => {
                it.erp.add_item(&Item::new(&with.sku, "Cap", 1_000))?;
                let letter = with.letter.to_string();
                // Where the replayer dies of it, there is no answer. What it left undone is replayed at the end.
                let said = it.tradewind(&["--json", "dlq", "replay", &letter, "--reason", "the item was added"]).await;
                anyhow::ensure!(said.code == 0 || of == Program::Replayer, "{said:?}");
            }
        }
        Ok(())
    }
}

/// Waits for the letter of an order.
async fn dead(it: &Installation, order: u64) -> anyhow::Result<Option<Uuid>> {
    let begun = Instant::now();
    while begun.elapsed() < LETTER_MAX {
        let sql = "select id from letters.letter where aggregate = $1 and state = 'dead' order by ordinal limit 1";
        let found = sqlx::query_scalar(sql).bind(key(order)).fetch_optional(it.store.pool()).await?;
        if found.is_some() {
            return Ok(found);
        }
        sleep(Duration::from_millis(100)).await;
    }
    eprintln!("order {order} of an unknown item is no letter after {LETTER_MAX:?}");
    Ok(None)
}

async fn kafka_away(it: &Installation, parts: &mut Breakable, of: Program) -> anyhow::Result<()> {
    let begun = Instant::now();
    parts.edges[&Edge::Kafka].set(Toxic::Down);
    while begun.elapsed() < SPOOL_MAX
        && !deaths::has_any_come_by(parts, of, usize::MAX)
        && it.count("select count(*) from ingest.spool").await == 0
    {
        sleep(Duration::from_millis(20)).await;
    }
    parts.edges[&Edge::Kafka].set(Toxic::Clear);
    Ok(())
}

/// As `tradewind backfill` does it, who has another login.
async fn backfill(it: &Installation) -> anyhow::Result<()> {
    let sql = "insert into ingest.backfill (source, kind, since) values ($1, 'order', now() - interval '1 day')
               on conflict (source, kind) where state <> 'done' do nothing";
    sqlx::query(sql).bind(SHOP).execute(it.store.pool()).await?;
    Ok(())
}

/// A letter may be behind a backlog, and behind the claims of who has just died.
const LETTER_MAX: Duration = Duration::from_secs(40);
const ORDERS_MAX: usize = 4;
const SPOOL_MAX: Duration = Duration::from_secs(30);
