//! What the ledger orders and what comes of it.

use std::sync::Arc;
use std::time::Instant;

use connector::erp::{Findings, Step};
use contracts::headers;
use contracts::wire::{Wire as _, WireError};
use domain::ErpCommand;
use fault::{Class, Fault};
use pipeline::{OutRecord, Position, Record};

use crate::core::step::Mode;

/// A command with the steps that its connector makes of it.
#[derive(Debug)]
pub struct Op {
    pub command: ErpCommand,
    pub steps: Vec<Step>,
}

impl Op {
    pub fn key(&self) -> &str {
        self.command.operation_key.as_str()
    }

    /// `steps`: [`connector::erp::Erp::steps`].
    pub fn read(
        record: &Record,
        target: &domain::TargetId,
        steps: impl FnOnce(&ErpCommand) -> Result<Vec<Step>, Fault>,
    ) -> Result<Self, Fault> {
        if let Some(other) = record.headers.text(headers::CE_TYPE).filter(|it| *it != ErpCommand::NAME) {
            return Err(WireError::Unknown { message: "record", field: "ce_type", value: other.to_owned() }.into());
        }
        let command = ErpCommand::decode(&record.value)?;
        if command.target != *target {
            let message = format!("the command is for the target {}, and this is {target}'s topic", command.target);
            return Err(Fault::new(Class::Validation, "command_misdirected", message));
        }
        let steps = steps(&command)?;
        Ok(Self { command, steps })
    }
}

#[derive(Debug, Clone)]
pub enum Act {
    Step(StepAct),
    Publish(Vec<OutRecord>),
}

/// One claimed step.
#[derive(Debug, Clone)]
pub struct StepAct {
    pub op: Arc<Op>,
    /// Index into the operation's steps.
    pub step: usize,
    /// [`Mode::Probe`] or [`Mode::Send`].
    pub mode: Mode,
    pub fence: i64,
    /// What the steps before it learned.
    pub findings: Arc<Findings>,
    /// Later than this nothing may be sent: what is left of the lease is the request's own time.
    pub send_before: Instant,
}

impl StepAct {
    pub fn step(&self) -> &Step {
        &self.op.steps[self.step]
    }
}

#[derive(Debug)]
pub enum Report {
    Step(StepReport),
    Published(Vec<Position>),
}

#[derive(Debug)]
pub struct StepReport {
    pub act: StepAct,
    pub came: StepCame,
}

/// What came of one claim.
#[derive(Debug, Clone, PartialEq)]
pub enum StepCame {
    Done(Findings),
    Missing,
    Failed {
        maybe_applied: bool,
    },
    /// Nothing was sent: the lease was too old.
    Expired,
}
