//! The group's ledger, with somebody in the engine's place who takes each record as far as it goes; and a pusher beside it.

use std::sync::Arc;
use std::time::Duration;

use bus::BusSettings;
use chrono::{DateTime, Utc};
use contracts::topics::{Parking, groups};
use inventory_sync::Settings;
use inventory_sync::config::{BufferSettings, DEFAULTS, StockSettings};
use inventory_sync::metrics::Metrics;
use inventory_sync::shell::Reckoner;
use inventory_sync::shell::pusher::Pusher;
use pipeline::{Batch, Entry, Ledger as _, Next, OutRecord, Position, Record, Turn, Verdict};
use store::decisions::DecisionLedger;
use store::{Owner, Store, StoreSettings};
use tokio::sync::watch;
use tracing::Span;

use super::fake_shop::FakeShop;
use super::world::{level_of, level_record, said, shop, units};

pub(super) struct Group {
    pub(super) store: Store,
    pub(super) settings: StockSettings,
    pub(super) ledger: DecisionLedger<Reckoner>,
}

/// One ERP's warehouse, sold at location 1 of one shop. Waits are short.
pub(super) fn stock_settings() -> StockSettings {
    let text = "[stock]\ntargets = [\"erp-main\"]\n[stock.location_map.shop.erp-main]\nWH = \"1\"\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let none: [(&str, &str); 0] = [];
    let loaded = service_kit::settings::load_from::<Settings, _, _>(DEFAULTS, Some(file.path()), "TRADEWIND", none).unwrap();
    StockSettings { push_interval: Duration::from_millis(10), ..loaded.settings.stock }
}

impl Group {
    pub(super) async fn new() -> Self {
        Self::with(stock_settings()).await
    }

    pub(super) async fn with(settings: StockSettings) -> Self {
        Self::over(Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap(), settings)
    }

    /// Another process of the group, with other settings perhaps.
    pub(super) fn over(store: Store, settings: StockSettings) -> Self {
        let bus = BusSettings::local("unused").with_prefix("t.");
        let reckoner = Reckoner::new(Arc::new(settings.feeds()), bus, Metrics::default());
        let ledger = DecisionLedger::new(store.clone(), groups::STOCK, Owner::Stock, Parking::LatestWins, reckoner);
        Self { store, settings, ledger }
    }

    pub(super) fn pusher(&self, stock: &Arc<FakeShop>) -> Pusher {
        self.pusher_to(Arc::clone(stock) as _)
    }

    /// So many more articles, `S0` as item `10` and so on: none in the shop, ten of each in the ERP.
    pub(super) async fn stock(&self, shop: &FakeShop, articles: usize) {
        for n in 0..articles {
            let sku = format!("S{n}");
            shop.stock(&sku, &format!("1{n}"), 0);
            self.settle(&level_record(1, level_of(&sku, 10, 0, 0, &[]))).await;
        }
    }

    pub(super) fn pusher_to(&self, stock: Arc<dyn connector::storefront::ShopStock>) -> Pusher {
        let locations = self.settings.feeds().locations(&shop()).map(str::to_owned).collect();
        // Orders come at once.
        let (_, heard) = watch::channel(Some(DateTime::<Utc>::MAX_UTC));
        Pusher::new(self.store.clone(), shop(), stock, locations, self.settings.clone(), heard, Metrics::default())
    }

    pub(super) async fn commit(&self, turns: Vec<(Record, Turn<Vec<Position>>)>) -> Vec<Next<Vec<OutRecord>>> {
        let entry = |(record, turn)| Arc::new(Entry { record: Arc::new(record), turn, span: Span::none() });
        let batch: Batch<_> = turns.into_iter().map(entry).collect();
        self.ledger.commit(batch).await.unwrap()
    }

    pub(super) async fn arrives(&self, record: &Record) -> Next<Vec<OutRecord>> {
        self.commit(vec![(record.clone(), Turn::Arrived)]).await.remove(0)
    }

    /// What came of it: `<sequence>: <available>` of each event.
    pub(super) async fn settle(&self, record: &Record) -> String {
        match self.arrives(record).await {
            Next::Done | Next::Lettered => "done".to_owned(),
            Next::Act(outputs) => {
                self.produced(record, &outputs).await;
                told(&outputs)
            }
            Next::Fail(fault) => {
                let code = fault.code;
                let turn = Turn::Failed { fault: Arc::new(fault), verdict: Verdict::Letter, attempts: 1, report: None };
                assert!(matches!(self.commit(vec![(record.clone(), turn)]).await.remove(0), Next::Done));
                format!("letter {code}")
            }
            Next::Later(_) => "later".to_owned(),
        }
    }

    pub(super) async fn produced(&self, record: &Record, outputs: &[OutRecord]) {
        let position = |(n, it): (usize, &OutRecord)| Position::of(it, 0, record.offset.wrapping_mul(10).wrapping_add(n as i64));
        let positions = outputs.iter().enumerate().map(position).collect();
        let next = self.commit(vec![(record.clone(), Turn::Acted(positions))]).await.remove(0);
        assert!(matches!(next, Next::Done));
    }

    /// What is desired of mugs at location 1.
    pub(super) async fn available(&self) -> i64 {
        self.count("select available from stock.desired where connection = 'shop' and location = '1' and sku = 'MUG'").await
    }

    pub(super) async fn dirty(&self) -> i64 {
        self.count("select count(*) from stock.desired where generation > pushed_generation").await
    }

    pub(super) async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }

    pub(super) async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.store.pool()).await.unwrap();
    }
}

pub(super) fn told(outputs: &[OutRecord]) -> String {
    let one = |it| {
        let (sequence, availability) = said(it);
        format!("{sequence}: {}", units(&availability))
    };
    outputs.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(super) fn keeping_back(units: u32) -> StockSettings {
    let buffer = BufferSettings { default: units, ..BufferSettings::default() };
    StockSettings { buffers: [("shop".to_owned(), buffer)].into(), ..stock_settings() }
}
