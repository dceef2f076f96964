//! What a topic must be, and how what is there differs. Pure.

use std::collections::BTreeMap;

use contracts::topics::Topic;

use super::Difference;

/// One topic as it must be on the broker.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) replication: i32,
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// One topic as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) partitions: i32,
    /// Of the partition that has fewest.
    pub(crate) replication: i32,
    pub(crate) settings: BTreeMap<String, String>,
}

impl Wanted {
    pub(crate) fn new(name: String, topic: &Topic, replication: i32, min_insync: i32) -> Self {
        // All of them are said, also where they are Kafka's defaults: a cluster may have defaults of its own.
        let settings = vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", topic.retention.as_millis().to_string()),
            ("retention.bytes", "-1".to_owned()),
            ("max.message.bytes", topic.message_bytes_max.to_string()),
            ("min.insync.replicas", min_insync.to_string()),
            ("compression.type", "producer".to_owned()),
            // Retention counts from the record's time. Were that the producer's, a host with a wrong clock would have its records
            // deleted before anybody read them, or refused.
            ("message.timestamp.type", "LogAppendTime".to_owned()),
        ];
        Self { name, partitions: topic.partitions, replication, settings }
    }
}

/// More partitions or copies than wanted are somebody's decision, not a difference.
pub(crate) fn compare(wanted: &Wanted, found: Option<&Found>) -> Vec<Difference> {
    let topic = || wanted.name.clone();
    let Some(found) = found else { return vec![Difference::Missing { topic: topic() }] };
    let mut differences = Vec::new();
    for (setting, value) in &wanted.settings {
        let found = found.settings.get(*setting).map_or("", String::as_str);
        if found != value {
            differences.push(Difference::Setting { topic: topic(), setting, wanted: value.clone(), found: found.to_owned() });
        }
    }
    if found.partitions < wanted.partitions {
        differences.push(Difference::TooFewPartitions { topic: topic(), wanted: wanted.partitions, found: found.partitions });
    }
    if found.replication < wanted.replication {
        differences.push(Difference::TooFewReplicas { topic: topic(), wanted: wanted.replication, found: found.replication });
    }
    differences
}

pub(crate) fn warnings(replication: i32, min_insync: i32) -> Vec<String> {
    let mut warnings = Vec::new();
    if replication < 3 {
        warnings.push(format!("replication {replication}: use 3, so that records survive the loss of a broker while another is serviced"));
    }
    if min_insync < 2 {
        warnings.push(format!("min.insync.replicas {min_insync}: use 2, or a record may be confirmed that only one broker has"));
    }
    if min_insync == replication && replication > 1 {
        warnings.push(format!("min.insync.replicas {min_insync} of {replication}: one broker away stops all writing"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        let orders = contracts::topics::table([]).into_iter().find(|it| it.name == contracts::topics::ORDERS).unwrap();
        Wanted::new("p.orders".to_owned(), &orders, 3, 2)
    }

    fn as_wanted(wanted: &Wanted) -> Found {
        let settings = wanted.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Found { partitions: wanted.partitions, replication: wanted.replication, settings }
    }

    fn texts(change: impl FnOnce(&mut Found)) -> Vec<String> {
        let wanted = wanted();
        let mut found = as_wanted(&wanted);
        change(&mut found);
        compare(&wanted, Some(&found)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_as_wanted_or_more_is_no_difference() {
        assert!(texts(|_| {}).is_empty());
        assert!(texts(|found| (found.partitions, found.replication) = (12, 5)).is_empty());
    }

    #[test]
    fn every_difference_says_what_to_do() {
        assert_eq!(compare(&wanted(), None)[0].to_string(), "p.orders is missing: run `tradewind topics apply`");
        let set = |name: &str, value: &str| {
            let (name, value) = (name.to_owned(), value.to_owned());
            texts(move |found| drop(found.settings.insert(name, value)))
        };
        assert_eq!(set("retention.ms", "1000"), ["p.orders has retention.ms=1000 instead of 1209600000: run `tradewind topics apply`"]);
        assert_eq!(
            set("cleanup.policy", "compact"),
            ["p.orders has cleanup.policy=compact instead of delete: run `tradewind topics apply`"]
        );
        assert!(texts(|found| found.partitions = 3)[0].contains("3 partitions instead of 6"));
        assert!(texts(|found| found.replication = 1)[0].contains("kafka-reassign-partitions"));
    }

    #[test]
    fn a_cluster_that_can_lose_records_is_warned_about() {
        assert_eq!(warnings(1, 1).len(), 2);
        assert_eq!(warnings(2, 2).len(), 2);
        assert!(warnings(3, 2).is_empty());
    }
}
