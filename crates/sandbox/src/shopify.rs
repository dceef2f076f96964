//! A Shopify shop: it sends signed webhooks by the platform's rules, answers GraphQL with its limits, and keeps stock.
//!
//! [`ShopDouble`] is the running server; [`Shop`] drives it: orders are placed, paid, edited, refunded, cancelled, and each
//! such action returns the deliveries that it caused. What the shop sent and what it was told stands in its effect log.
//! Scripts in other processes do the same over `/_sandbox/`.

mod actions;
mod admin;
mod bucket;
mod delivery;
mod graphql;
mod idempotency;
mod sender;
mod settings;
mod stock;
mod subscriptions;
mod trace;
mod world;

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use http_kit::Secrets;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::effects::{EffectLog, LogError, Source};
use crate::faults::admin::Controls;
use crate::faults::{Gate, GateError, Pace, Plan};

pub use actions::{ActionError, Happened};
pub use bucket::Points;
pub use delivery::{API_VERSION, Delivery, EVENT_ID, HMAC, RawDelivery, SHOP_DOMAIN, TOPIC, TRIGGERED_AT, WEBHOOK_ID};
pub use graphql::ACCESS_TOKEN;
pub use sender::{Counts, Release, Unsettled};
pub use settings::{LogSettings, ShopSettings, WebhookSettings};
pub use stock::ShelfLevel;
pub use subscriptions::{Subscription, TOPICS};
pub use trace::{Trace, traces};

use sender::Sender;
use world::World;

/// The double could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the shop's signing secret cannot be used")]
    Secret(#[from] http_kit::signature::SecretsError),
    #[error(transparent)]
    Client(#[from] http_kit::client::ClientError),
}

/// A running shop. Dropping it stops it at once; [`ShopDouble::stop`] waits for the end.
#[derive(Debug)]
pub struct ShopDouble {
    gate: Option<Gate>,
    shop: Shop,
}

/// Drives a running shop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ShopSettings,
    world: Mutex<World>,
    secrets: Mutex<Secrets>,
    sender: Sender,
    log: EffectLog,
    plan: Plan,
    pace: Pace,
    stop: CancellationToken,
}

impl ShopDouble {
    /// Starts to listen, and subscribes the door of the settings to [`TOPICS`]. Runs in the present tokio runtime.
    pub fn start(settings: ShopSettings) -> Result<Self, StartError> {
        let log = match &settings.log {
            Some(it) => EffectLog::open(Source::Shop, &it.path, it.durability)?,
            None => EffectLog::in_memory(Source::Shop),
        };
        let (sender, inbox) = Sender::new(&settings.webhooks)?;
        let address = settings.address;
        let inner = Inner {
            world: Mutex::new(World::new(&settings)),
            secrets: Mutex::new(Secrets::new([settings.secret.clone()])?),
            sender,
            log: log.clone(),
            plan: Plan::new(settings.payloads.seed),
            pace: Pace::new(settings.latency, settings.payloads.seed),
            stop: CancellationToken::new(),
            settings,
        };
        let shop = Shop(Arc::new(inner));
        let gate = Gate::open_with(address, |gate| {
            let controls = Controls { plan: shop.0.plan.clone(), pace: shop.0.pace.clone(), log, gate };
            let graphql = Router::new().route("/admin/api/{version}/graphql.json", post(graphql::answer)).with_state(shop.clone());
            graphql.merge(admin::routes(shop.clone())).merge(crate::faults::admin::routes(controls))
        })?;
        if let Some(door) = &shop.0.settings.door {
            shop.subscribe(door, &TOPICS);
        }
        sender::run(shop.clone(), inbox);
        Ok(Self { gate: Some(gate), shop })
    }

    pub fn address(&self) -> SocketAddr {
        self.gate().address()
    }

    /// What a client takes for `https://<shop>.myshopify.com`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Closes and opens the shop's port, as in an outage.
    pub fn gate(&self) -> &Gate {
        self.gate.as_ref().expect("it is taken only by `stop`, which takes all")
    }

    pub fn shop(&self) -> &Shop {
        &self.shop
    }

    /// Sends nothing more, resets all connections and frees the port.
    pub async fn stop(mut self) {
        self.shop.0.stop.cancel();
        self.shop.0.sender.ended().await;
        if let Some(gate) = self.gate.take() {
            gate.stop().await;
        }
    }
}

impl Deref for ShopDouble {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl Drop for ShopDouble {
    fn drop(&mut self) {
        self.shop.0.stop.cancel();
    }
}

impl Shop {
    pub fn settings(&self) -> &ShopSettings {
        &self.0.settings
    }

    /// What the shop did and was told, by its own account.
    pub fn log(&self) -> &EffectLog {
        &self.0.log
    }

    /// Scripted faults of the GraphQL endpoint; an operation is its root field, such as `inventorySetQuantities`.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    pub fn pace(&self) -> &Pace {
        &self.0.pace
    }

    /// Signs all attempts from now on with another secret.
    pub fn rotate_secret(&self, secret: impl Into<SecretString>) -> Result<(), http_kit::signature::SecretsError> {
        let secrets = Secrets::new([secret.into()])?;
        *self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner) = secrets;
        Ok(())
    }

    /// The next `times` queries are answered `THROTTLED`, whatever the bucket holds.
    pub fn throttle(&self, times: u64) {
        self.world().bucket.refuse(times);
    }

    /// Leaves the bucket so many points.
    pub fn drain_points(&self, left: u64) {
        self.world().bucket.drain(left);
    }

    /// The next `times` calls of a mutation do nothing and end with this code among their user errors.
    pub fn refuse(&self, mutation: &str, code: &str, times: u64) {
        self.world().refusals.push(world::Refusal { mutation: mutation.to_owned(), code: code.to_owned(), left: times });
    }

    /// Waits until every delivery was taken or given up.
    pub async fn settled(&self, within: Duration) -> Result<Counts, Unsettled> {
        self.0.sender.settled(within).await
    }

    pub fn counts(&self) -> Counts {
        self.0.sender.counts()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn secrets(&self) -> Secrets {
        self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
