//! Sends webhooks by the platform's rules: a second to connect, five in all, only 2xx is success, eight retries with the same
//! bytes. The intention is logged before each attempt, the outcome after it.

use std::sync::Arc;
use std::time::Duration;

use http_kit::client::{self, Outgoing};
use http_kit::{Client, Exchange};
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::task::TaskTracker;

use super::Shop;
use super::delivery::Delivery;
use super::settings::WebhookSettings;
use crate::effects::{Draft, Kind};

/// What became of the deliveries so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Neither taken nor given up yet.
    pub outstanding: u64,
    pub acked: u64,
    /// Refused to the last retry.
    pub given_up: u64,
    pub attempts: u64,
    pub failed_attempts: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} after the time that was given: is the door open?")]
pub struct Unsettled(pub Counts);

/// In which order held deliveries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    AsHeld,
    Reversed,
    Shuffled { seed: u64 },
}

#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    queue: mpsc::UnboundedSender<Job>,
    permits: Arc<Semaphore>,
    counts: watch::Sender<Counts>,
    tasks: TaskTracker,
}

/// One attempt to be made.
#[derive(Debug)]
pub(super) struct Job {
    delivery: Delivery,
    /// From 0.
    attempt: u32,
    /// What the subscription had taken before the first attempt.
    taken_at_first: u64,
}

impl Sender {
    pub(super) fn new(settings: &WebhookSettings) -> Result<(Self, mpsc::UnboundedReceiver<Job>), client::ClientError> {
        let everywhere = ["0.0.0.0/0", "::/0", "localhost"].map(|it| it.parse().expect("it is a network or a name"));
        let client = Client::new(&client::Settings {
            connect: settings.connect,
            read: settings.total,
            total: settings.total,
            response_max: 1024 * 1024,
            allow_private: everywhere.to_vec(),
            user_agent: "Sandbox-Webhooks/1.0".to_owned(),
            ..client::Settings::default()
        })?;
        let (queue, inbox) = mpsc::unbounded_channel();
        let sender = Self {
            client,
            queue,
            permits: Arc::new(Semaphore::new(settings.concurrency.max(1))),
            counts: watch::Sender::new(Counts::default()),
            tasks: TaskTracker::new(),
        };
        Ok((sender, inbox))
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    pub(super) async fn settled(&self, within: Duration) -> Result<Counts, Unsettled> {
        let mut counts = self.counts.subscribe();
        let settled = counts.wait_for(|it| it.outstanding == 0);
        match tokio::time::timeout(within, settled).await {
            Ok(counts) => Ok(*counts.expect("the sender lives as long as the shop")),
            Err(_) => Err(Unsettled(self.counts())),
        }
    }

    /// Returns when nothing is on the wire; the shop's stop must have been called.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    fn enqueue(&self, job: Job) {
        // Only a stopped shop has no inbox.
        if self.queue.send(job).is_err() {
            tracing::debug!("the shop stopped before a delivery was sent");
        }
    }
}

impl Shop {
    /// Holds deliveries back until [`Shop::release`].
    pub fn hold(&self) {
        self.world().held.get_or_insert_default();
    }

    /// Sends what was held, and holds no more. Returns how many there were.
    pub fn release(&self, release: Release) -> usize {
        let mut held = self.world().held.take().unwrap_or_default();
        match release {
            Release::AsHeld => {}
            Release::Reversed => held.reverse(),
            Release::Shuffled { seed } => held.shuffle(&mut <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed)),
        }
        let count = held.len();
        for delivery in held {
            self.post(delivery);
        }
        count
    }

    /// Loses what was held, as if it had never been sent, and holds no more. Returns how many there were.
    pub fn lose(&self) -> usize {
        self.world().held.take().map_or(0, |it| it.len())
    }

    /// Sends deliveries again, as they were: the same ids, the same bytes.
    pub fn send_again(&self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.post(delivery.clone());
        }
    }

    /// Sends, or holds; a share of them twice, or late.
    pub(super) fn dispatch(&self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            if let Some(held) = &mut self.world().held {
                held.push(delivery.clone());
                continue;
            }
            let settings = &self.0.settings.webhooks;
            let (again, late) = {
                let dice = &mut self.world().dice;
                (dice.random_bool(settings.duplicates.clamp(0.0, 1.0)), dice.random_bool(settings.late.clamp(0.0, 1.0)))
            };
            if again {
                self.post(delivery.clone());
            }
            if late {
                self.post_later(delivery.clone(), settings.late_by);
            } else {
                self.post(delivery.clone());
            }
        }
    }

    fn post(&self, delivery: Delivery) {
        self.0.sender.count(|it| it.outstanding += 1);
        self.0.sender.enqueue(self.first(delivery));
    }

    fn post_later(&self, delivery: Delivery, by: Duration) {
        self.0.sender.count(|it| it.outstanding += 1);
        let job = self.first(delivery);
        self.enqueue_in(by, job);
    }

    fn first(&self, delivery: Delivery) -> Job {
        let taken = |id| self.world().subscriptions.get_mut(id).map_or(0, |it| it.taken);
        let taken_at_first = delivery.subscription.map_or(0, taken);
        Job { delivery, attempt: 0, taken_at_first }
    }

    fn enqueue_in(&self, pause: Duration, job: Job) {
        let shop = self.clone();
        self.0.sender.tasks.spawn(async move {
            if shop.0.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
                shop.0.sender.enqueue(job);
            }
        });
    }

    async fn attempt(&self, job: Job, permit: OwnedSemaphorePermit) {
        let sender = &self.0.sender;
        let number = job.attempt + 1;
        self.0.log.append([about(Kind::Sending, &job.delivery).detail(format!("attempt {number}"))]);
        self.0.log.sync().await;
        sender.count(|it| it.attempts += 1);
        let outgoing = Outgoing {
            method: http::Method::POST,
            url: job.delivery.address.clone(),
            headers: job.delivery.headers(&self.0.settings.shop_domain, &self.secrets()),
            body: Some(job.delivery.body.clone()),
            not_after: None,
        };
        let outcome = match sender.client.send(outgoing).await {
            Exchange::Answered { status, .. } => Ok(status),
            Exchange::NotSent(error) => Err(error.to_string()),
            Exchange::Unknown(error) => Err(error.to_string()),
        };
        drop(permit);
        let detail = outcome.as_ref().map_or_else(Clone::clone, |status| status.as_u16().to_string());
        self.0.log.append([about(Kind::Answered, &job.delivery).detail(detail)]);
        if outcome.is_ok_and(|status| status.is_success()) {
            self.taken(&job.delivery);
        } else {
            self.failed(job);
        }
    }

    fn taken(&self, delivery: &Delivery) {
        if let Some(id) = delivery.subscription
            && let Some(subscription) = self.world().subscriptions.get_mut(id)
        {
            subscription.taken += 1;
        }
        self.0.sender.count(|it| {
            it.acked += 1;
            it.outstanding -= 1;
        });
    }

    fn failed(&self, mut job: Job) {
        let settings = &self.0.settings.webhooks;
        self.0.sender.count(|it| it.failed_attempts += 1);
        job.attempt += 1;
        if job.attempt <= settings.retries {
            self.enqueue_in(settings.pause(job.attempt), job);
            return;
        }
        if let Some(id) = job.delivery.subscription.filter(|_| settings.delete_failing)
            && self.world().subscriptions.exhausted(id, job.taken_at_first)
        {
            self.0.log.append([Draft::new(Kind::Applied, "webhook_subscription.delete").id(id).detail(job.delivery.topic.clone())]);
        }
        self.0.sender.count(|it| {
            it.given_up += 1;
            it.outstanding -= 1;
        });
    }
}

fn about(kind: Kind, delivery: &Delivery) -> Draft {
    Draft::new(kind, format!("webhook {}", delivery.topic)).id(&delivery.webhook_id).external(&delivery.subject)
}

/// Takes jobs in their order, as many at once as the settings allow, until the shop stops.
pub(super) fn run(shop: Shop, mut inbox: mpsc::UnboundedReceiver<Job>) {
    let tasks = shop.0.sender.tasks.clone();
    tasks.spawn(async move {
        let stop = shop.0.stop.clone();
        while let Some(Some(job)) = stop.run_until_cancelled(inbox.recv()).await {
            let permit = shop.0.sender.permits.clone().acquire_owned();
            let Some(permit) = stop.run_until_cancelled(permit).await else { return };
            let permit = permit.expect("nobody closes the semaphore");
            let (of_task, stop) = (shop.clone(), stop.clone());
            shop.0.sender.tasks.spawn(async move {
                stop.run_until_cancelled(of_task.attempt(job, permit)).await;
            });
        }
    });
}
