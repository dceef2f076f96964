//! `tradewind.replay.v1.ReplayService` over the letters.

use bus::BusSettings;
use chrono::{DateTime, Utc};
use contracts::proto::replay::v1 as wire;
use contracts::wire::OutcomeState;
use contracts::{headers, reflect};
use kill_point::{Point, reach};
use prost_types::Timestamp;
use store::Store;
use store::letters::{self, DiscardScope, Filter, Letter, LetterError, LetterState, StoredLetter};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::operators::actor_of;
use crate::outcomes;

pub struct Api {
    pub store: Store,
    pub bus: BusSettings,
}

const PAGE_MAX: u32 = 500;
const PAGE: u32 = 50;

#[tonic::async_trait]
impl wire::replay_service_server::ReplayService for Api {
    async fn list_letters(&self, request: Request<wire::ListLettersRequest>) -> Result<Response<wire::ListLettersResponse>, Status> {
        let request = request.into_inner();
        let filter = Filter {
            states: state_filter(request.state)?,
            group: given(request.group),
            code: given(request.code),
            aggregate: given(request.aggregate),
        };
        let limit = if request.page_size == 0 { PAGE } else { request.page_size.min(PAGE_MAX) };
        let after = if request.page_token.is_empty() { None } else { Some(read_token(&request.page_token)?) };
        let page = letters::list(&self.store, &filter, after, limit).await.map_err(|error| status(error.into()))?;
        let next_page_token = page.next.map(|(at, id)| format!("{}.{id}", at.timestamp_micros())).unwrap_or_default();
        Ok(Response::new(wire::ListLettersResponse { letters: page.letters.iter().map(shown).collect(), next_page_token }))
    }

    async fn get_letter(&self, request: Request<wire::GetLetterRequest>) -> Result<Response<wire::GetLetterResponse>, Status> {
        let actor = actor_of(&request);
        let request = request.into_inner();
        let letter = letters::get(&self.store, id(&request.id)?).await.map_err(status)?;
        if request.with_payload {
            tracing::info!(actor, letter.id = %letter.letter.id, "a letter's payload was shown");
        }
        Ok(Response::new(whole(letter, request.with_payload)))
    }

    async fn replay_letter(&self, request: Request<wire::ReplayLetterRequest>) -> Result<Response<wire::ReplayLetterResponse>, Status> {
        let actor = actor_of(&request);
        let request = request.into_inner();
        let outcome = outcomes::of(&self.bus, OutcomeState::Replaying, &request.reason);
        let replayed = letters::replay(&self.store, id(&request.id)?, &actor, &request.reason, Some(&request.request_id), outcome).await;
        reach(Point::ReplayCommitted);
        Ok(Response::new(wire::ReplayLetterResponse { letter: Some(shown(&replayed.map_err(status)?)) }))
    }

    async fn discard_letter(&self, request: Request<wire::DiscardLetterRequest>) -> Result<Response<wire::DiscardLetterResponse>, Status> {
        let actor = actor_of(&request);
        let request = request.into_inner();
        let scope = match request.scope() {
            wire::DiscardScope::Release => DiscardScope::Release,
            wire::DiscardScope::Chain => DiscardScope::Chain,
            wire::DiscardScope::Unspecified => {
                let message = "say what becomes of the records held behind it: DISCARD_SCOPE_RELEASE or DISCARD_SCOPE_CHAIN";
                return Err(Status::invalid_argument(message));
            }
        };
        let outcome = outcomes::of(&self.bus, OutcomeState::Discarded, &request.reason);
        let discarded =
            letters::discard(&self.store, id(&request.id)?, &actor, &request.reason, scope, Some(&request.request_id), outcome).await;
        let (letter, count) = discarded.map_err(status)?;
        Ok(Response::new(wire::DiscardLetterResponse { letter: Some(shown(&letter)), discarded: u32::try_from(count).unwrap_or(u32::MAX) }))
    }
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn id(text: &str) -> Result<Uuid, Status> {
    text.parse().map_err(|_| Status::invalid_argument(format!("`{text}` is no letter's id; ids are UUIDs as `ListLetters` gives them")))
}

fn read_token(token: &str) -> Result<(DateTime<Utc>, Uuid), Status> {
    let parts = token.split_once('.').and_then(|(at, id)| Some((DateTime::from_timestamp_micros(at.parse().ok()?)?, id.parse().ok()?)));
    parts.ok_or_else(|| Status::invalid_argument("this page_token is not one that we gave"))
}

fn status(error: LetterError) -> Status {
    match &error {
        LetterError::NotFound(_) => Status::not_found(error.to_string()),
        LetterError::State { .. } => Status::failed_precondition(error.to_string()),
        LetterError::NoReason => Status::invalid_argument(error.to_string()),
        LetterError::Store(source) => {
            tracing::warn!(error = %source, "the letters could not be reached");
            Status::unavailable("the letters could not be reached; try again")
        }
    }
}

const STATES: [(LetterState, wire::LetterState); 7] = [
    (LetterState::Dead, wire::LetterState::Dead),
    (LetterState::Held, wire::LetterState::Held),
    (LetterState::Waiting, wire::LetterState::Waiting),
    (LetterState::Replaying, wire::LetterState::Replaying),
    (LetterState::Applied, wire::LetterState::Applied),
    (LetterState::Superseded, wire::LetterState::Superseded),
    (LetterState::Discarded, wire::LetterState::Discarded),
];

/// Unspecified: dead, waiting and held, which is the store's default.
fn state_filter(state: i32) -> Result<Vec<LetterState>, Status> {
    let state = wire::LetterState::try_from(state).map_err(|_| Status::invalid_argument("this state is unknown to this version"))?;
    Ok(STATES.iter().filter(|(_, it)| *it == state).map(|(it, _)| *it).collect())
}

fn time(at: DateTime<Utc>) -> Option<Timestamp> {
    Some(Timestamp { seconds: at.timestamp(), nanos: i32::try_from(at.timestamp_subsec_nanos()).ok()? })
}

fn shown(letter: &Letter) -> wire::Letter {
    let state = STATES.iter().find(|(it, _)| *it == letter.state).map_or(wire::LetterState::Unspecified, |(_, it)| *it);
    wire::Letter {
        id: letter.id.to_string(),
        group: letter.group.clone(),
        event_id: letter.event_id.to_string(),
        aggregate: letter.aggregate.clone(),
        state: state.into(),
        blocked_by: letter.blocked_by.map(|it| it.to_string()).unwrap_or_default(),
        class: letter.class.clone().unwrap_or_default(),
        code: letter.code.clone().unwrap_or_default(),
        message: letter.message.clone().unwrap_or_default(),
        fingerprint: letter.fingerprint.clone().unwrap_or_default(),
        attempts: u32::try_from(letter.attempts).unwrap_or(0),
        topic: letter.topic.clone(),
        partition: letter.partition,
        offset: letter.offset,
        first_failed_at: time(letter.first_failed_at),
        last_failed_at: time(letter.last_failed_at),
        held: u32::try_from(letter.held).unwrap_or(u32::MAX),
        retry_at: letter.retry_at.and_then(time),
    }
}

fn whole(letter: StoredLetter, with_payload: bool) -> wire::GetLetterResponse {
    let type_name = letter.headers.text(headers::CE_TYPE).unwrap_or_default();
    // A raw delivery is the platform's own JSON, of which nothing says what is personal.
    let decoded = match reflect::to_json(type_name, &letter.value, with_payload) {
        Ok(json) => json.to_string(),
        Err(_) if with_payload => String::from_utf8_lossy(&letter.value).into_owned(),
        Err(_) => String::new(),
    };
    let audit = |it: &letters::AuditEntry| wire::AuditEntry {
        at: time(it.at),
        actor: it.actor.clone(),
        verb: it.verb.clone(),
        detail: it.detail.clone(),
    };
    wire::GetLetterResponse {
        letter: Some(shown(&letter.letter)),
        headers: letter.headers.iter().map(|(name, value)| wire::Header { name: name.to_owned(), value: value.clone() }).collect(),
        key: letter.key.into(),
        value: if with_payload { letter.value.into() } else { bytes::Bytes::new() },
        decoded_json: decoded,
        causes: letter.causes,
        audit: letter.audit.iter().map(audit).collect(),
    }
}
