//! The adapter's decisions: the same tables and the same intake as every other group's.

use std::time::Duration;

use contracts::topics::Parking;
use pipeline::{OutRecord, Position, Record};
use uuid::Uuid;

use crate::decisions::intake;
use crate::decisions::rows::{self, NewDecision, Published};
use crate::decisions::{Input, State};
use crate::letters::Obligation;
use crate::{Error, Owner, Tx};

/// What is known of a command that arrives.
#[derive(Debug)]
pub enum Known {
    /// To be done, or half done.
    New,
    /// Its outcome is produced; if it came as a letter, that has ended.
    Settled,
    /// A letter whose turn it is not, or not any more.
    NotDue,
    /// Durably a letter, or held behind one.
    Lettered,
    /// Its key has too many letters: later.
    Full(Duration),
    /// Done, and its outcome not known to be produced.
    Unpublished(Vec<OutRecord>),
}

/// One answer per input, in order. Commands of parked keys are held on the way.
pub async fn look_up(tx: &mut Tx, group: &str, inputs: &[Input<'_>]) -> Result<Vec<Known>, Error> {
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    let obligations: Vec<_> = inputs.iter().map(|it| Obligation::of(it.record)).collect();
    let known = intake::look_up(tx, Owner::Effects, group, inputs, &obligations, Parking::Park, false).await?;
    let known = known.into_iter().map(|it| match it {
        intake::Known::New => Known::New,
        intake::Known::Unpublished(outputs) => Known::Unpublished(outputs),
        intake::Known::Settled(_) | intake::Known::IdReused => Known::Settled,
        intake::Known::NotDue => Known::NotDue,
        intake::Known::Lettered => Known::Lettered,
        intake::Known::Full => Known::Full(intake::FULL_WAIT),
    });
    Ok(known.collect())
}

/// A command whose effect is there.
#[derive(Debug)]
pub struct Applied<'a> {
    pub record: &'a Record,
    pub outputs: Vec<OutRecord>,
}

pub async fn decide(tx: &mut Tx, group: &str, applied: &[Applied<'_>]) -> Result<(), Error> {
    let rows: Vec<_> = applied
        .iter()
        .map(|it| NewDecision {
            obligation: Obligation::of(it.record),
            record: it.record,
            state: Some(State::Applied),
            reason: None,
            hash: None,
            outputs: it.outputs.clone(),
        })
        .collect();
    // A commit whose answer was lost comes again, with the same outcome.
    rows::insert(tx, Owner::Effects, group, &rows).await?;
    Ok(())
}

/// The outcomes of these commands are produced.
pub async fn mark_published(tx: &mut Tx, group: &str, published: &[(Uuid, &[Position])]) -> Result<(), Error> {
    if published.is_empty() {
        return Ok(());
    }
    let published: Vec<_> = published.iter().map(|(id, positions)| Published { id: *id, positions }).collect();
    rows::mark_published(tx, Owner::Effects, group, &published).await?;
    Ok(())
}

/// Whether a command is done, with its outcome produced.
pub async fn is_settled(tx: &mut Tx, group: &str, command: Uuid) -> Result<bool, Error> {
    rows::is_settled(tx, Owner::Effects, group, command).await
}

/// How often somebody asked for another try of this command.
pub async fn replays_of(tx: &mut Tx, group: &str, command: Uuid) -> Result<i32, Error> {
    let sql = "select replays from letters.letter where grp = $1 and ce_id = $2";
    let replays: Option<i32> = sqlx::query_scalar(sql).bind(group).bind(command).fetch_optional(tx).await?;
    Ok(replays.unwrap_or(0))
}
