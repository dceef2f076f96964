//! The act of a step that only produces: the stored bytes of one decision.

use std::time::Duration;

use async_trait::async_trait;
use fault::Fault;
use kill_point::{Point, reach};
use pipeline::seam::ActError;
use pipeline::{Actor, LaneSpec, OutRecord, Position, Record};

use crate::producer::{ProduceError, Producer};

/// Produces decisions. A service that also acts on something else asks it from an actor of its own.
#[derive(Clone)]
pub struct Publisher {
    producer: Producer,
}

impl Publisher {
    pub fn new(producer: Producer) -> Self {
        Self { producer }
    }

    /// Many in flight: awaited one by one they cost a thousand times as much.
    pub fn lane() -> LaneSpec {
        LaneSpec { name: "kafka", slots: 1_024, families: &["publish"], is_ours: true }
    }

    /// Produces in this order; positions in the same order. Returns when every record that was sent has its answer: what is
    /// tried again while its first copy is still queued would fill the queue with copies.
    pub async fn publish(&self, records: &[OutRecord]) -> Result<Vec<Position>, ProduceError> {
        let (mut confirmations, mut failure) = (Vec::with_capacity(records.len()), None);
        let client = self.producer.inner();
        for record in records {
            match self.producer.enqueue_in(&client, record) {
                Ok(confirmation) => confirmations.push(confirmation),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        reach(Point::PublishEnqueued);
        let mut positions = Vec::with_capacity(confirmations.len());
        for confirmation in confirmations {
            match confirmation.await {
                Ok(position) => positions.push(position),
                Err(error) => failure = Some(worse(failure, error)),
            }
        }
        failure.map_or(Ok(positions), Err)
    }

    /// Whether a broker answers.
    pub async fn probe(&self) -> Result<(), Fault> {
        Ok(self.producer.probe(PROBE_WAIT).await?)
    }
}

/// Of two failures the one that trying again does not cure.
fn worse(first: Option<ProduceError>, second: ProduceError) -> ProduceError {
    match first {
        Some(first @ ProduceError::Refused { .. }) => first,
        Some(first) if !matches!(second, ProduceError::Refused { .. }) => first,
        _ => second,
    }
}

#[async_trait]
impl Actor<Vec<OutRecord>, Vec<Position>> for Publisher {
    fn lanes(&self) -> Vec<LaneSpec> {
        vec![Self::lane()]
    }

    fn lane(&self, _act: &Vec<OutRecord>) -> usize {
        0
    }

    async fn act(&self, _record: &Record, act: Vec<OutRecord>) -> Result<Vec<Position>, ActError<Vec<Position>>> {
        let positions = self.publish(&act).await.map_err(Fault::from)?;
        reach(Point::PublishConfirmed);
        Ok(positions)
    }

    async fn probe(&self, _lane: usize) -> Result<(), Fault> {
        Publisher::probe(self).await
    }
}

const PROBE_WAIT: Duration = Duration::from_secs(2);
