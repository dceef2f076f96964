//! Which groups have something left to read.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::log::Logged;
use crate::{BusSettings, Error, Offsets};

/// The group that is furthest behind in this topic (full name), ours or not, and by how many records.
pub(crate) async fn behind(settings: &BusSettings, topic: &str) -> Result<Option<(String, i64)>, Error> {
    let mut furthest = None;
    for group in groups(settings).await? {
        let offsets = Offsets::of_named_group(settings, &group)?.read(topic, WAIT).await?;
        // A group that never committed here reads something else.
        if offsets.values().all(|it| it.committed.is_none()) {
            continue;
        }
        let lag: i64 = offsets.values().map(|it| it.end - it.committed.unwrap_or(it.start)).sum();
        if lag > furthest.as_ref().map_or(0, |(_, most)| *most) {
            furthest = Some((group, lag));
        }
    }
    Ok(furthest)
}

async fn groups(settings: &BusSettings) -> Result<Vec<String>, Error> {
    let consumer: BaseConsumer<Logged> =
        settings.consumer("groups", "none").create_with_context(Logged::default()).map_err(Error::Client)?;
    let listed = tokio::task::spawn_blocking(move || {
        consumer.fetch_group_list(None, WAIT).map(|it| it.groups().iter().map(|group| group.name().to_owned()).collect())
    });
    let listed = listed.await.expect("listing groups does not panic");
    listed.map_err(|source| Error::Unreachable { brokers: settings.brokers.clone(), source })
}

const WAIT: Duration = Duration::from_secs(10);
