//! Settings of every client, and what each of them gets whatever the settings say.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::Error;
use crate::fullness::Fullness;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusSettings {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// Stands before every topic and group name: two installations on one cluster, or a test.
    #[serde(default)]
    pub prefix: String,
    #[serde(default)]
    pub security: Security,
    /// Further librdkafka properties, for TLS files and the like. What the product relies on can't be set here.
    #[serde(default, serialize_with = "without_secrets")]
    pub properties: BTreeMap<String, SecretString>,
    /// Set by [`Embedded::settings`](crate::embedded::Embedded::settings): that broker forgets, so its clients count.
    #[serde(skip)]
    pub(crate) fullness: Option<Arc<Fullness>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    #[default]
    Plaintext,
    Ssl,
    SaslSsl,
}

impl Security {
    fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

impl BusSettings {
    pub fn local(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), prefix: String::new(), security: Security::Plaintext, properties: BTreeMap::new(), fullness: None }
    }

    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// A topic's full name. Kafka knows only these.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn group(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What is written to the embedded broker and not yet read; `None` on every other broker.
    pub fn fullness(&self) -> Option<Arc<Fullness>> {
        self.fullness.clone()
    }

    /// What is set below wins over the properties. This one has no value that would be right.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.properties.contains_key(TRANSACTIONS) {
            let why = "nothing here writes in Kafka's transactions; what must happen once is known by its id";
            return Err(Error::Forbidden { name: TRANSACTIONS, why });
        }
        Ok(())
    }

    fn base(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in &self.properties {
            config.set(key, value.expose_secret());
        }
        config
            .set("bootstrap.servers", &self.brokers)
            .set("security.protocol", self.security.as_str())
            .set("client.id", client_id)
            .set("socket.keepalive.enable", "true")
            // A broker that was away is tried again soon: what waits for it is counted in seconds.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000");
        config
    }

    pub(crate) fn consumer(&self, client_id: &str, group: &str) -> ClientConfig {
        let mut config = self.base(client_id);
        config
            .set("group.id", self.group(group))
            // Eager: everything is revoked at once, so there is one path that drains.
            .set("partition.assignment.strategy", "range")
            // Applied to every out-of-range, not only to new groups: better to stop than to skip. New groups start at the
            // beginning because the rebalance callback says so.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("enable.auto.offset.store", "false")
            // See `commits`.
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10")
            // Bounds memory; with the default back-off of a second it would fetch once a second.
            .set("queued.max.messages.kbytes", "4096")
            // Compressed; in memory it is several times that, for each partition.
            .set("max.partition.fetch.bytes", "262144")
            .set("fetch.max.bytes", "4194304")
            .set("fetch.queue.backoff.ms", "10");
        if self.fullness.is_some() {
            // The embedded broker lets a group wait nearly this long whenever a member comes or goes.
            config.set("session.timeout.ms", "4000").set("heartbeat.interval.ms", "1000");
        }
        config
    }

    pub(crate) fn producer(&self, client_id: &str) -> ClientConfig {
        let mut config = self.base(client_id);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // The Java clients' partitioner: the same key lands on the same partition whoever produces.
            .set("partitioner", "murmur2_random")
            // The default is below the largest body that the door accepts. The broker's limit per topic still holds.
            .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("compression.type", "zstd")
            .set("compression.level", "1");
        config
    }

    pub(crate) fn admin(&self, client_id: &str) -> ClientConfig {
        self.base(client_id)
    }
}

/// For `--show-config`: what names a file or a mechanism helps, what lets somebody in does not.
fn without_secrets<S: Serializer>(properties: &BTreeMap<String, SecretString>, to: S) -> Result<S::Ok, S::Error> {
    let is_secret = |name: &str| ["password", "secret", "pem", "jaas", "oauthbearer.config"].iter().any(|part| name.contains(part));
    to.collect_map(properties.iter().map(|(name, value)| (name, if is_secret(name) { "***" } else { value.expose_secret() })))
}

const TRANSACTIONS: &str = "transactional.id";

/// The largest `message_bytes_max` of the topic table.
const RECORD_BYTES_MAX: u32 = 5 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_product_relies_on_cannot_be_set() {
        let mut settings = BusSettings::local("127.0.0.1:9092");
        for name in ["acks", "enable.idempotence", "auto.offset.reset", "partitioner", "ssl.ca.location"] {
            settings.properties.insert(name.to_owned(), "x".into());
        }
        let producer = settings.producer("test");
        assert_eq!(producer.get("acks"), Some("all"));
        assert_eq!(producer.get("enable.idempotence"), Some("true"));
        assert_eq!(producer.get("partitioner"), Some("murmur2_random"));
        assert_eq!(producer.get("ssl.ca.location"), Some("x"));
        assert_eq!(settings.consumer("test", "group").get("auto.offset.reset"), Some("error"));
    }

    /// Without a broker that fences old producers (KIP-890) an aborted transaction can hide what was acked.
    #[test]
    fn transactions_are_off_and_can_not_be_turned_on() {
        let mut settings = BusSettings::local("127.0.0.1:9092");
        assert_eq!(settings.producer("test").get("transactional.id"), None);
        assert!(settings.check().is_ok());
        settings.properties.insert("transactional.id".to_owned(), "x".into());
        let refused = crate::Producer::new(&settings, "test", crate::Role::Relay).err().unwrap();
        assert!(refused.to_string().contains("`transactional.id`"), "{refused}");
    }

    #[test]
    fn shown_settings_name_the_file_and_not_the_password() {
        let text = "brokers = \"a:1\"\n[properties]\n\"sasl.password\" = \"hunter2\"\n\"ssl.ca.location\" = \"/etc/ca.crt\"\n";
        let settings: BusSettings = toml::from_str(text).unwrap();
        let shown = toml::to_string(&settings).unwrap();
        assert!(shown.contains("/etc/ca.crt"), "{shown}");
        assert!(!shown.contains("hunter2") && !format!("{settings:?}").contains("hunter2"), "{shown}");
        assert_eq!(settings.admin("test").get("sasl.password"), Some("hunter2"));
    }

    #[test]
    fn the_largest_record_of_the_topic_table_can_be_produced() {
        let largest = contracts::topics::table([]).iter().map(|it| it.message_bytes_max).max();
        assert_eq!(largest, Some(RECORD_BYTES_MAX));
    }

    #[test]
    fn the_prefix_stands_before_topics_and_groups() {
        let settings = BusSettings::local("a:1").with_prefix("blue.");
        assert_eq!((settings.topic("t"), settings.group("g")), ("blue.t".to_owned(), "blue.g".to_owned()));
    }
}
