//! Runs a command's steps as the ERP adapter does, without its ledger.

use std::time::{Duration, Instant};

use connector::erp::{Erp, Findings, Probe, Step, StepCall, StepError};
use domain::ErpCommand;
use fault::Fault;

pub(crate) async fn run(erp: &dyn Erp, command: &ErpCommand) -> Result<Findings, Fault> {
    let mut findings = Findings::new();
    for step in erp.steps(command)? {
        let found = settle(erp, command, &step, &findings).await.map_err(|error| error.fault)?;
        findings.extend(found);
    }
    Ok(findings)
}

/// One step: looked for where it wants that, else done.
pub(crate) async fn settle(erp: &dyn Erp, command: &ErpCommand, step: &Step, findings: &Findings) -> Result<Findings, StepError> {
    let call = StepCall { command, step: step.name, idempotency_key: command.operation_key.as_str(), findings, not_after: soon() };
    if step.look_first
        && let Probe::Done(found) = erp.probe(&call).await?
    {
        return Ok(found);
    }
    erp.perform(&call).await
}

/// The whole command again by probes alone: each step must see its effect, whoever made it.
pub(crate) async fn all_done(erp: &dyn Erp, command: &ErpCommand, findings: &Findings) {
    for step in erp.steps(command).unwrap() {
        let call = StepCall { command, step: step.name, idempotency_key: "k", findings, not_after: soon() };
        let probe = erp.probe(&call).await.unwrap_or_else(|fault| panic!("{}: {fault}", step.name));
        assert!(matches!(probe, Probe::Done(_)), "{} is not done", step.name);
    }
}

/// Long enough for any step.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(crate) fn code(result: Result<Findings, Fault>) -> &'static str {
    match result {
        Ok(findings) => panic!("expected a refusal, got {findings:?}"),
        Err(fault) => fault.code,
    }
}
