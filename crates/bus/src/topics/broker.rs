//! The admin client's calls.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewPartitions, NewTopic, OwnedResourceSpecifier,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use tokio::time::Instant;

use super::plan::{Found, Wanted};
use crate::log::Logged;
use crate::{BusSettings, Error};

pub(crate) struct Broker {
    admin: std::sync::Arc<AdminClient<Logged>>,
    brokers: String,
}

impl Broker {
    pub(crate) fn connect(settings: &BusSettings) -> Result<Self, Error> {
        let admin = settings.admin("topics").create_with_context(Logged::default()).map_err(Error::Client)?;
        Ok(Self { admin: std::sync::Arc::new(admin), brokers: settings.brokers.clone() })
    }

    /// Those of the wanted topics that are there, by name.
    pub(crate) async fn find(&self, wanted: &[Wanted]) -> Result<BTreeMap<String, Found>, Error> {
        let mut found = self.shapes().await?;
        found.retain(|name, _| wanted.iter().any(|it| it.name == *name));
        for resource in self.describe(found.keys()).await? {
            if let OwnedResourceSpecifier::Topic(name) = &resource.specifier
                && let Some(found) = found.get_mut(name)
            {
                found.settings = resource.entries.into_iter().filter_map(|it| Some((it.name, it.value?))).collect();
            }
        }
        Ok(found)
    }

    /// All topics with partitions and copies. All, because asking for one by name may create it on a careless broker.
    async fn shapes(&self) -> Result<BTreeMap<String, Found>, Error> {
        let admin = std::sync::Arc::clone(&self.admin);
        let metadata = tokio::task::spawn_blocking(move || admin.inner().fetch_metadata(None, WAIT));
        let metadata = metadata.await.expect("fetching metadata does not panic").map_err(|source| self.unreachable(source))?;
        let there = metadata.topics().iter().filter(|it| it.error().is_none());
        Ok(there.map(|it| (it.name().to_owned(), shape(it))).collect())
    }

    async fn describe(&self, names: impl Iterator<Item = &String>) -> Result<Vec<ConfigResource>, Error> {
        let specifiers: Vec<_> = names.map(|name| ResourceSpecifier::Topic(name)).collect();
        if specifiers.is_empty() {
            return Ok(Vec::new());
        }
        let described = self.admin.describe_configs(&specifiers, &options()).await.map_err(|source| self.unreachable(source))?;
        described.into_iter().collect::<Result<_, _>>().map_err(|code| refused("to describe topics", code))
    }

    pub(crate) async fn create(&self, topic: &Wanted) -> Result<(), Error> {
        let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replication));
        for (name, value) in &topic.settings {
            new = new.set(name, value);
        }
        let created = self.admin.create_topics([&new], &options()).await.map_err(|source| self.unreachable(source))?;
        match created.into_iter().next() {
            // Somebody else applies the same table.
            Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
                Err(refused(&format!("to create {}", topic.name), code))
            }
            _ => Ok(()),
        }
    }

    /// The call replaces all settings of the topic, so what somebody else set goes along.
    pub(crate) async fn set(&self, topic: &str, wanted: &[(&'static str, String)]) -> Result<(), Error> {
        let name = topic.to_owned();
        let described = self.describe(std::iter::once(&name)).await?;
        let mut settings: BTreeMap<_, _> = described
            .into_iter()
            .flat_map(|it| it.entries)
            .filter(|it| it.source == ConfigSource::DynamicTopic)
            .filter_map(|it| Some((it.name, it.value?)))
            .collect();
        settings.extend(wanted.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let alter = settings.iter().fold(AlterConfig::new(ResourceSpecifier::Topic(topic)), |alter, (name, value)| alter.set(name, value));
        let altered = self.admin.alter_configs([&alter], &options()).await.map_err(|source| self.unreachable(source))?;
        match altered.into_iter().next() {
            Some(Err((_, code))) => Err(refused(&format!("the settings of {topic}"), code)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn add_partitions(&self, topic: &str, count: i32) -> Result<(), Error> {
        let count = usize::try_from(count).expect("the topic table has no negative numbers");
        let new = NewPartitions::new(topic, count);
        let added = self.admin.create_partitions([&new], &options()).await.map_err(|source| self.unreachable(source))?;
        match added.into_iter().next() {
            Some(Err((_, code))) => Err(refused(&format!("{count} partitions for {topic}"), code)),
            _ => Ok(()),
        }
    }

    /// A topic is created by the controller and known to the brokers a moment later.
    pub(crate) async fn wait_until_there(&self, wanted: &[Wanted]) -> Result<(), Error> {
        let deadline = Instant::now() + WAIT;
        loop {
            let shapes = self.shapes().await?;
            if wanted.iter().all(|it| shapes.contains_key(&it.name)) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.unreachable(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn unreachable(&self, source: KafkaError) -> Error {
        Error::Unreachable { brokers: self.brokers.clone(), source }
    }
}

fn shape(topic: &MetadataTopic) -> Found {
    let partitions = topic.partitions();
    let replication = partitions.iter().map(|it| it.replicas().len()).min().unwrap_or(0);
    let count = |it: usize| i32::try_from(it).expect("Kafka counts in 32 bits");
    Found { partitions: count(partitions.len()), replication: count(replication), settings: BTreeMap::new() }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(WAIT)).operation_timeout(Some(WAIT))
}

fn refused(what: &str, code: RDKafkaErrorCode) -> Error {
    Error::Refused { what: what.to_owned(), source: KafkaError::AdminOp(code) }
}

const WAIT: Duration = Duration::from_secs(10);
