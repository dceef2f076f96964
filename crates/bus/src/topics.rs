//! Topics as the table wants them: made, corrected, compared. Nothing is ever deleted here.
//!
//! Never against the embedded broker: it can't do what an admin client asks for, and makes its topics when it starts.

mod broker;
mod plan;
mod readers;

use std::fmt;

use contracts::topics::Topic;

use crate::{BusSettings, Error};
use broker::Broker;
use plan::Wanted;

/// What was done, and what the operator should know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub done: Vec<Done>,
    /// What still differs, because doing it would break something or can't be done from here.
    pub left: Vec<Difference>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    Created { topic: String, partitions: i32 },
    Altered { topic: String, setting: &'static str, from: String, to: String },
    PartitionsAdded { topic: String, from: i32, to: i32 },
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { topic, partitions } => write!(f, "{topic}: created with {partitions} partitions"),
            Self::Altered { topic, setting, from, to } => write!(f, "{topic}: {setting} {from} -> {to}"),
            Self::PartitionsAdded { topic, from, to } => write!(f, "{topic}: partitions {from} -> {to}"),
        }
    }
}

/// How a topic on the broker differs from the table. Its text says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    Missing {
        topic: String,
    },
    Setting {
        topic: String,
        setting: &'static str,
        wanted: String,
        found: String,
    },
    TooFewPartitions {
        topic: String,
        wanted: i32,
        found: i32,
    },
    /// Its records are keyed and somebody has not read all of them: with more partitions a key's next record could overtake.
    PartitionsHeld {
        topic: String,
        wanted: i32,
        found: i32,
        group: String,
        lag: i64,
    },
    TooFewReplicas {
        topic: String,
        wanted: i32,
        found: i32,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { topic } => write!(f, "{topic} is missing: run `tradewind topics apply`"),
            Self::Setting { topic, setting, wanted, found } => {
                write!(f, "{topic} has {setting}={found} instead of {wanted}: run `tradewind topics apply`")
            }
            Self::TooFewPartitions { topic, wanted, found } => {
                write!(f, "{topic} has {found} partitions instead of {wanted}: run `tradewind topics apply` when all groups have read it")
            }
            Self::PartitionsHeld { topic, wanted, found, group, lag } => write!(
                f,
                "{topic} keeps its {found} partitions instead of {wanted}, because group {group} has {lag} records to read: stop what \
                 writes to it, let the group finish, and apply again"
            ),
            Self::TooFewReplicas { topic, wanted, found } => {
                write!(f, "{topic} is kept {found} times instead of {wanted}: raise it with kafka-reassign-partitions")
            }
        }
    }
}

/// Makes what is missing and corrects what differs.
pub async fn apply(settings: &BusSettings, topics: &[Topic], replication: i32, min_insync: i32) -> Result<Report, Error> {
    if min_insync > replication {
        return Err(Error::Durability { replication, min_insync });
    }
    let mut report = Report { warnings: plan::warnings(replication, min_insync), ..Report::default() };
    if settings.fullness.is_some() {
        return Ok(report);
    }
    let broker = Broker::connect(settings)?;
    let wanted = wanted(settings, topics, replication, min_insync);
    let found = broker.find(&wanted).await?;
    for topic in &wanted {
        let differences = plan::compare(topic, found.get(&topic.name));
        correct(settings, &broker, topic, differences, &mut report).await?;
    }
    broker.wait_until_there(&wanted).await?;
    Ok(report)
}

async fn correct(
    settings: &BusSettings,
    broker: &Broker,
    topic: &Wanted,
    differences: Vec<Difference>,
    report: &mut Report,
) -> Result<(), Error> {
    // In one call: each replaces all settings, and the broker may still show the next one what was there before the last.
    if differences.iter().any(|it| matches!(it, Difference::Setting { .. })) {
        broker.set(&topic.name, &topic.settings).await?;
    }
    for difference in differences {
        match difference {
            Difference::Missing { topic: name } => {
                broker.create(topic).await?;
                report.done.push(Done::Created { topic: name, partitions: topic.partitions });
            }
            Difference::Setting { topic, setting, wanted, found } => {
                report.done.push(Done::Altered { topic, setting, from: found, to: wanted });
            }
            Difference::TooFewPartitions { topic, wanted, found } => match readers::behind(settings, &topic).await? {
                Some((group, lag)) => report.left.push(Difference::PartitionsHeld { topic, wanted, found, group, lag }),
                None => {
                    broker.add_partitions(&topic, wanted).await?;
                    report.done.push(Done::PartitionsAdded { topic, from: found, to: wanted });
                }
            },
            other => report.left.push(other),
        }
    }
    Ok(())
}

/// What differs. Changes nothing.
pub async fn check(settings: &BusSettings, topics: &[Topic], replication: i32, min_insync: i32) -> Result<Vec<Difference>, Error> {
    if settings.fullness.is_some() {
        return Ok(Vec::new());
    }
    let broker = Broker::connect(settings)?;
    let wanted = wanted(settings, topics, replication, min_insync);
    let found = broker.find(&wanted).await?;
    Ok(wanted.iter().flat_map(|topic| plan::compare(topic, found.get(&topic.name))).collect())
}

impl Difference {
    pub fn topic(&self) -> &str {
        match self {
            Self::Missing { topic }
            | Self::Setting { topic, .. }
            | Self::TooFewPartitions { topic, .. }
            | Self::PartitionsHeld { topic, .. }
            | Self::TooFewReplicas { topic, .. } => topic,
        }
    }
}

fn wanted(settings: &BusSettings, topics: &[Topic], replication: i32, min_insync: i32) -> Vec<Wanted> {
    topics.iter().map(|topic| Wanted::new(settings.topic(&topic.name), topic, replication, min_insync)).collect()
}
