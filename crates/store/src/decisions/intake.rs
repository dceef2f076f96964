//! What is known of records that arrive: new, decided before, a letter already, or held behind one.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use contracts::ids;
use contracts::topics::Parking;
use pipeline::{Origin, OutRecord};
use sha2::{Digest as _, Sha256};

use super::{Input, State, rows};
use crate::letters::{self, Obligation};
use crate::owner::Owner;
use crate::stored::decode_records;
use crate::{Error, Tx};

/// Until a record of a key that has too many letters is looked at again.
pub(crate) const FULL_WAIT: Duration = Duration::from_secs(10);

/// States of letters that have not ended.
const OPEN: [&str; 4] = ["dead", "held", "waiting", "replaying"];

/// The code of the letter for a second delivery under one id.
pub(super) const ID_REUSED: &str = "delivery_id_reused";

pub(crate) enum Known {
    New,
    /// Decided, and nothing is left to do: the offset may move, and the letter, if it is one, has ended.
    Settled(State),
    /// A letter whose turn it is not, or not any more.
    NotDue,
    /// Durably a letter, or held behind one: the same.
    Lettered,
    /// Its key has as many letters as a key may have. It waits where it is, and its partition before long.
    Full,
    /// Decided, and not known to be produced.
    Unpublished(Vec<OutRecord>),
    /// Decided, but about other bytes.
    IdReused,
}

#[derive(sqlx::FromRow)]
struct Row {
    state: Option<String>,
    outputs: Option<Vec<u8>>,
    hash: Option<Vec<u8>>,
    letter_state: Option<String>,
    /// An older letter of its key is due as well.
    overtakes: bool,
    parked: bool,
}

/// One query for the whole batch; records of parked keys are held on the way, under the parked rows' locks.
pub(crate) async fn look_up(
    tx: &mut Tx,
    owner: Owner,
    group: &str,
    inputs: &[Input<'_>],
    obligations: &[Obligation],
    policy: Parking,
    with_hashes: bool,
) -> Result<Vec<Known>, Error> {
    let event_ids: Vec<_> = obligations.iter().map(|it| it.id).collect();
    let aggregates: Vec<_> = obligations.iter().map(|it| it.aggregate.as_str()).collect();
    // A letter for a reused id is not that of the id.
    let letter = |(input, obligation): (&Input<'_>, &Obligation)| match input.record.origin {
        Origin::Letter(id) => id,
        Origin::Topic => ids::letter(group, obligation.id),
    };
    let letters: Vec<_> = inputs.iter().zip(obligations).map(letter).collect();
    let sql = owner.sql(
        "select d.state, d.outputs, d.hash, l.state as letter_state, p.aggregate is not null as parked,
           coalesce(l.state = 'replaying' and exists (
             select from letters.letter older
             where older.grp = l.grp and older.aggregate = l.aggregate and older.state = 'replaying' and older.ordinal < l.ordinal
           ), false) as overtakes
         from unnest($2::uuid[], $3::text[], $4::uuid[]) with ordinality as i (ce_id, aggregate, letter, n)
         left join {schema}.decision d on d.grp = $1 and d.ce_id = i.ce_id
         left join letters.letter l on l.id = i.letter
         left join letters.parked p on p.grp = $1 and p.aggregate = i.aggregate
         order by i.n",
    );
    let rows: Vec<Row> = sqlx::query_as(sql).bind(group).bind(&event_ids).bind(&aggregates).bind(&letters).fetch_all(&mut *tx).await?;

    let mut held = held_keys(tx, group, inputs, obligations, &rows, policy).await?;
    let full = full_keys(tx, group, &held).await?;
    let mut known = Vec::with_capacity(rows.len());
    for ((input, obligation), row) in inputs.iter().zip(obligations).zip(rows) {
        known.push(match (row.state, input.record.origin) {
            (Some(_), _) if with_hashes && row.hash.is_some_and(|it| it != value_hash(&input.record.value)) => Known::IdReused,
            // Decided, and then Kafka refused an output for good: it is the letter's by now.
            (Some(_), Origin::Topic) if row.letter_state.as_deref().is_some_and(|it| OPEN.contains(&it)) => Known::Lettered,
            (Some(state), _) => match row.outputs {
                Some(outputs) => Known::Unpublished(decode_records(&outputs)?),
                // One that waits for something that is no failure has got past its failure, too.
                None => Known::Settled(rows::state_of(&state)),
            },
            // A drained letter goes on only while it is its turn: one before it may have failed again, and may have been discarded
            // since, so that those between them are due once more.
            (None, Origin::Letter(_)) => {
                let is_overtaking = policy == Parking::Park && row.overtakes;
                if row.letter_state.as_deref() == Some("replaying") && !is_overtaking { Known::New } else { Known::NotDue }
            }
            // Committed as a letter before a crash, read again after it.
            (None, Origin::Topic) if row.letter_state.is_some() => Known::Lettered,
            (None, Origin::Topic) => match held.remove(&obligation.aggregate) {
                Some(_) if full.contains(&obligation.aggregate) => Known::Full,
                Some(parked) => {
                    letters::hold(tx, group, obligation, input.record, &parked).await?;
                    Known::Lettered
                }
                None => Known::New,
            },
        });
    }
    Ok(known)
}

/// The parked keys among them, locked. A key that was freed since the look-up is not among them any more.
async fn held_keys(
    tx: &mut Tx,
    group: &str,
    inputs: &[Input<'_>],
    obligations: &[Obligation],
    rows: &[Row],
    policy: Parking,
) -> Result<HashMap<String, letters::ParkedKey>, Error> {
    if policy != Parking::Park {
        return Ok(HashMap::new());
    }
    let is_live = |input: &Input<'_>, row: &Row| row.parked && row.state.is_none() && input.record.origin == Origin::Topic;
    let mut parked: Vec<&str> = inputs
        .iter()
        .zip(obligations)
        .zip(rows)
        .filter(|((input, _), row)| is_live(input, row))
        .map(|((_, obligation), _)| obligation.aggregate.as_str())
        .collect();
    parked.sort_unstable();
    if parked.is_empty() { Ok(HashMap::new()) } else { letters::lock_parked(tx, group, &parked).await }
}

async fn full_keys(tx: &mut Tx, group: &str, held: &HashMap<String, letters::ParkedKey>) -> Result<HashSet<String>, Error> {
    if held.is_empty() {
        return Ok(HashSet::new());
    }
    let keys: Vec<&str> = held.keys().map(String::as_str).collect();
    let mut counts = letters::count_open(tx, group, &keys).await?;
    counts.retain(|_, count| *count >= letters::KEY_LETTERS_MAX);
    for key in counts.keys() {
        let runbook = "docs/runbooks/letters-growing.md";
        tracing::error!(group, key, runbook, "a key has too many letters: what follows stays in its partition");
    }
    Ok(counts.into_keys().collect())
}

pub fn value_hash(value: &[u8]) -> Vec<u8> {
    Sha256::digest(value).to_vec()
}
