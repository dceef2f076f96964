//! The thin side: one request to the target, or the stored bytes to Kafka.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connector::erp::{Erp, LEASE_EXPIRED, Probe, StepCall, StepError, lease_expired};
use domain::{OperationFamily, TargetId};
use fault::{Class, Fault};
use kill_point::{Point, reach, reach_in};
use pipeline::seam::ActError;
use pipeline::{Actor, LaneSpec, OutRecord, Position, Record};
use telemetry::spans;
use tracing::Instrument as _;

use crate::act::{Act, Report, StepAct, StepCame, StepReport};
use crate::claims::Claims;
use crate::core::step::Mode;

/// `P` produces outcomes: [`bus::Publisher`], or a test's own.
pub struct EffectActor<P> {
    erp: Arc<dyn Erp>,
    target: TargetId,
    slots: usize,
    /// The longest that one call may take.
    call_max: Duration,
    claims: Arc<Claims>,
    publisher: P,
}

const ERP: usize = 0;
const KAFKA: usize = 1;

impl<P> EffectActor<P> {
    pub fn new(erp: Arc<dyn Erp>, target: TargetId, slots: usize, call_max: Duration, claims: Arc<Claims>, publisher: P) -> Self {
        Self { erp, target, slots, call_max, claims, publisher }
    }

    async fn step(&self, act: StepAct) -> Result<Report, ActError<Report>> {
        let span = spans::client(&format!("{}/{}", act.op.command.operation.name(), act.step().name), self.target.as_str());
        let called = match act.mode {
            Mode::Send => self.send(&act).instrument(span.clone()).await,
            _ => self.look(&act).instrument(span.clone()).await,
        };
        match called {
            Ok(came) => Ok(Report::Step(StepReport { act, came })),
            Err((fault, came)) => {
                spans::fail(&span, fault.code);
                Err(ActError { fault, report: Some(Report::Step(StepReport { act, came })) })
            }
        }
    }

    async fn send(&self, act: &StepAct) -> Result<StepCame, (Fault, StepCame)> {
        reach_in(if act.step == 0 { Point::StepClaimed } else { Point::StepFollowed }, act.step().name);
        if Instant::now() >= act.send_before {
            return Err((lease_expired(), StepCame::Expired));
        }
        self.claims.sending(act.op.key(), (act.step().name, act.fence));
        let key = idempotency_key(act);
        match tokio::time::timeout(self.call_max, self.erp.perform(&self.call(act, &key))).await {
            Ok(Ok(findings)) => {
                reach(Point::StepAnswered);
                Ok(StepCame::Done(findings))
            }
            // It stood still on its way to the request.
            Ok(Err(StepError { fault, maybe_applied: false })) if fault.code == LEASE_EXPIRED => Err((fault, StepCame::Expired)),
            Ok(Err(StepError { fault, maybe_applied })) => Err((fault, StepCame::Failed { maybe_applied })),
            Err(_) => Err((self.too_slow(), StepCame::Failed { maybe_applied: true })),
        }
    }

    async fn look(&self, act: &StepAct) -> Result<StepCame, (Fault, StepCame)> {
        let key = idempotency_key(act);
        let failed = StepCame::Failed { maybe_applied: false };
        match tokio::time::timeout(self.call_max, self.erp.probe(&self.call(act, &key))).await {
            Ok(Ok(Probe::Done(findings))) => Ok(StepCame::Done(findings)),
            Ok(Ok(Probe::Missing)) => Ok(StepCame::Missing),
            Ok(Err(fault)) => Err((fault, failed)),
            Err(_) => Err((self.too_slow(), failed)),
        }
    }

    fn call<'a>(&self, act: &'a StepAct, idempotency_key: &'a str) -> StepCall<'a> {
        let not_after = Instant::now() + self.call_max;
        StepCall { command: &act.op.command, step: act.step().name, idempotency_key, findings: &act.findings, not_after }
    }

    fn too_slow(&self) -> Fault {
        Fault::new(Class::Transient, "erp_too_slow", format!("no answer within {:?}, half of the claim's lease", self.call_max))
    }
}

/// The same over retries, restarts and replays; a step is one request.
fn idempotency_key(act: &StepAct) -> String {
    format!("{}/{}", act.op.key(), act.step().name)
}

#[async_trait]
impl<P: Actor<Vec<OutRecord>, Vec<Position>>> Actor<Act, Report> for EffectActor<P> {
    fn lanes(&self) -> Vec<LaneSpec> {
        let erp = LaneSpec { name: "erp", slots: self.slots, families: &OperationFamily::NAMES, is_ours: false };
        std::iter::once(erp).chain(self.publisher.lanes()).collect()
    }

    fn lane(&self, act: &Act) -> usize {
        match act {
            Act::Step(_) => ERP,
            Act::Publish(outputs) => KAFKA + self.publisher.lane(outputs),
        }
    }

    fn family(&self, act: &Act) -> usize {
        match act {
            Act::Step(act) => act.op.command.operation.family() as usize,
            Act::Publish(outputs) => self.publisher.family(outputs),
        }
    }

    async fn act(&self, record: &Record, act: Act) -> Result<Report, ActError<Report>> {
        match act {
            Act::Step(act) => self.step(act).await,
            Act::Publish(outputs) => match self.publisher.act(record, outputs).await {
                Ok(positions) => Ok(Report::Published(positions)),
                Err(error) => Err(error.fault.into()),
            },
        }
    }

    fn did(&self, report: &Report) -> bool {
        match report {
            Report::Step(StepReport { act, came }) => act.mode == Mode::Send && matches!(came, StepCame::Done(_)),
            Report::Published(_) => true,
        }
    }

    async fn probe(&self, lane: usize) -> Result<(), Fault> {
        if lane == ERP { self.erp.ping().await } else { self.publisher.probe(lane - KAFKA).await }
    }
}
