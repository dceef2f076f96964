use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::bucket::Points;
use crate::effects::Durability;
use crate::faults::Latency;
use crate::payloads::PayloadSettings;

/// A shop. The defaults give a working one on a free port of loopback.
#[derive(Debug, Clone)]
pub struct ShopSettings {
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// As in `X-Shopify-Shop-Domain`.
    pub shop_domain: String,
    /// Signs webhooks.
    pub secret: SecretString,
    /// Opens the API.
    pub access_token: SecretString,
    /// Of webhooks; the API takes any.
    pub api_version: String,
    /// Where webhooks go. `None`: nowhere until somebody subscribes.
    pub door: Option<String>,
    pub payloads: PayloadSettings,
    /// `available` of each article at the start.
    pub stock: i64,
    pub points: Points,
    pub latency: Latency,
    pub webhooks: WebhookSettings,
    /// `None`: the effect log is kept in memory only.
    pub log: Option<LogSettings>,
}

/// Where the effect log is written.
#[derive(Debug, Clone)]
pub struct LogSettings {
    pub path: PathBuf,
    pub durability: Durability,
}

/// How webhooks are sent. The defaults are the platform's.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Deliveries on the wire at once. With one, deliveries that succeed keep their order.
    pub concurrency: usize,
    pub connect: Duration,
    /// For the whole exchange.
    pub total: Duration,
    pub retries: u32,
    /// All retries lie within this time, each pause twice the one before.
    pub retry_within: Duration,
    /// Pauses are so many times shorter, so that hours pass in seconds.
    pub time_scale: f64,
    /// A subscription whose delivery failed to the last retry is deleted.
    pub delete_failing: bool,
    /// Share of deliveries that are sent twice.
    pub duplicates: f64,
    /// Share of deliveries that are overtaken by later ones.
    pub late: f64,
    pub late_by: Duration,
}

impl Default for ShopSettings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            shop_domain: "sandbox-shop.example.com".to_owned(),
            secret: "sandbox-signing-secret".into(),
            access_token: "sandbox-access-token".into(),
            api_version: "2026-07".to_owned(),
            door: None,
            payloads: PayloadSettings::default(),
            stock: 100,
            points: Points::default(),
            latency: Latency::None,
            webhooks: WebhookSettings::default(),
            log: None,
        }
    }
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            concurrency: 16,
            connect: Duration::from_secs(1),
            total: Duration::from_secs(5),
            retries: 8,
            retry_within: Duration::from_secs(4 * 3600),
            time_scale: 1.0,
            delete_failing: true,
            duplicates: 0.0,
            late: 0.0,
            late_by: Duration::from_millis(200),
        }
    }
}

impl WebhookSettings {
    /// The pause before a retry, counted from 1.
    pub fn pause(&self, retry: u32) -> Duration {
        let parts = 2_f64.powi(i32::try_from(self.retries).unwrap_or(i32::MAX)) - 1.0;
        let part = self.retry_within.as_secs_f64() / parts.max(1.0);
        let pause = part * 2_f64.powi(i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX)) / self.time_scale.max(f64::MIN_POSITIVE);
        Duration::try_from_secs_f64(pause).unwrap_or(self.retry_within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_retries_fill_four_hours_each_pause_twice_the_one_before() {
        let settings = WebhookSettings::default();
        let pauses: Vec<Duration> = (1..=8).map(|it| settings.pause(it)).collect();
        let all: Duration = pauses.iter().sum();
        assert!(all.abs_diff(Duration::from_secs(4 * 3600)) < Duration::from_millis(1), "{all:?}");
        assert!(pauses.windows(2).all(|it| it[1].abs_diff(it[0] * 2) < Duration::from_millis(1)));
        let fast = WebhookSettings { time_scale: 14_400.0, ..settings };
        assert!(fast.pause(8) < Duration::from_millis(510));
    }
}
