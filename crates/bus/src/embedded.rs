//! librdkafka's in-process cluster, for the demonstration on a machine without a broker.
//!
//! Its limits: nothing is kept when the process ends, a partition holds some 5 MB or 100,000 records and then forgets its oldest
//! (see [`fullness`](crate::fullness)), topics can't be made by an admin client, an empty fetch always waits as long as the
//! client allows, and a group starts three seconds after its first member came.

use std::sync::{Arc, mpsc};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::fullness::Fullness;
use crate::{BusSettings, Error};

/// A cluster on a thread of its own; it ends when this is dropped.
pub struct Embedded {
    pub brokers: String,
    fullness: Arc<Fullness>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Embedded {
    /// Starts with these topics (full name, partitions): they must exist before any client does.
    pub fn start(topics: Vec<(String, i32)>) -> Result<Self, Error> {
        let (stop, stopped) = mpsc::channel::<()>();
        let (started, start) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("embedded-broker".to_owned())
            .spawn(move || {
                let cluster = match cluster_with(&topics) {
                    Ok(cluster) => cluster,
                    Err(error) => return drop(started.send(Err(error))),
                };
                if started.send(Ok(cluster.bootstrap_servers())).is_ok() {
                    // Nothing is ever sent: it returns when the other end is dropped.
                    let _dropped = stopped.recv();
                }
            })
            .expect("the system can start a thread");
        let brokers = start.recv().expect("the thread answers before it ends").map_err(Error::Client)?;
        Ok(Self { brokers, fullness: Arc::default(), stop: Some(stop), thread: Some(thread) })
    }

    /// Settings for its clients. All of them must come from here: they count what the broker holds.
    pub fn settings(&self, prefix: impl Into<String>) -> BusSettings {
        let mut settings = BusSettings::local(self.brokers.clone()).with_prefix(prefix);
        settings.fullness = Some(Arc::clone(&self.fullness));
        settings
    }
}

fn cluster_with(topics: &[(String, i32)]) -> rdkafka::error::KafkaResult<MockCluster<'static, DefaultProducerContext>> {
    let cluster = MockCluster::new(1)?;
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 1)?;
    }
    Ok(cluster)
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the embedded broker's thread panicked");
        }
    }
}
