//! `tradewind dlq`: the dead letters, through the replayer's API.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::DateTime;
use contracts::proto::replay::v1 as wire;
use contracts::proto::replay::v1::replay_service_client::ReplayServiceClient;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::args::{Dlq, Held, State};
use crate::config::{Api, Settings};
use crate::print::{Printer, table};

#[derive(Serialize)]
pub(crate) struct Letter {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) key: String,
    pub(crate) state: String,
    pub(crate) class: String,
    pub(crate) code: String,
    pub(crate) message: String,
    attempts: u32,
    origin: String,
    first_failed_at: String,
    last_failed_at: String,
    held_behind_it: u32,
    /// Only of a waiting one.
    next_try_at: String,
}

#[derive(Serialize)]
struct Shown {
    letter: Letter,
    causes: Vec<String>,
    headers: Vec<(String, String)>,
    decoded: serde_json::Value,
    history: Vec<(String, String, String, String)>,
}

pub(crate) async fn run(command: Dlq, settings: &Settings, printer: Printer) -> anyhow::Result<ExitCode> {
    let mut client = Client::connect(&settings.api).await?;
    match command {
        Dlq::List { state, group, code, key, limit } => {
            let request = wire::ListLettersRequest {
                state: state.map_or(wire::LetterState::Unspecified, wire_state).into(),
                group: group.unwrap_or_default(),
                code: code.unwrap_or_default(),
                aggregate: key.unwrap_or_default(),
                page_size: limit,
                page_token: String::new(),
            };
            let (letters, has_more) = client.list(request).await?;
            printer.print(&letters, |letters| listed(letters));
            if has_more {
                eprintln!("there are more than {limit}: --limit shows them, --state, --group, --code and --key choose");
            }
        }
        Dlq::Show { id, payload } => printer.print(&client.show(&id, payload).await?, shown),
        Dlq::Replay { id, reason } => {
            let letter = client.replay(&id, &reason).await?;
            printer.print(&letter, |it| {
                format!("{} is {}: its group tries it again; `tradewind dlq show {}` shows how it ends", it.id, it.state, it.id)
            });
        }
        Dlq::Discard { id, reason, held } => {
            let (letter, discarded) = client.discard(&id, &reason, held).await?;
            printer.print(&letter, |it| format!("{} is {}; discarded in all: {discarded}", it.id, it.state));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends who we are with every call.
#[derive(Clone)]
struct Token(Option<AsciiMetadataValue>);

impl tonic::service::Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

pub(crate) struct Client(ReplayServiceClient<InterceptedService<Channel, Token>>);

impl Client {
    pub(crate) async fn connect(api: &Api) -> anyhow::Result<Self> {
        let token = match &api.token_file {
            Some(file) => Some(format!("Bearer {}", file.read()?.expose_secret().trim())),
            None => None,
        };
        let token =
            token.map(|it| it.parse::<AsciiMetadataValue>()).transpose().context("the token holds characters that no header can carry")?;
        let endpoint = Endpoint::from_shared(api.url.clone()).with_context(|| format!("api.url `{}` is no URL", api.url))?;
        let channel =
            endpoint.connect().await.with_context(|| format!("the dead-letter-replayer does not answer at {}: is it running?", api.url))?;
        let client = ReplayServiceClient::with_interceptor(channel, Token(token));
        Ok(Self(client.max_decoding_message_size(ANSWER_BYTES_MAX)))
    }

    /// As many as the request's `page_size` says, in as many pages as the service makes of them; and whether there are more.
    pub(crate) async fn list(&mut self, mut request: wire::ListLettersRequest) -> anyhow::Result<(Vec<Letter>, bool)> {
        let mut letters = Vec::new();
        loop {
            let answer = self.0.list_letters(request.clone()).await.map_err(said)?.into_inner();
            request.page_size = request.page_size.saturating_sub(u32::try_from(answer.letters.len())?);
            letters.extend(answer.letters.into_iter().map(letter));
            request.page_token = answer.next_page_token;
            if request.page_token.is_empty() || request.page_size == 0 {
                return Ok((letters, !request.page_token.is_empty()));
            }
        }
    }

    async fn show(&mut self, id: &str, with_payload: bool) -> anyhow::Result<Shown> {
        let request = wire::GetLetterRequest { id: id.to_owned(), with_payload };
        let answer = self.0.get_letter(request).await.map_err(said)?.into_inner();
        let text = |it: wire::Header| (it.name, String::from_utf8_lossy(&it.value).into_owned());
        let decoded = serde_json::from_str(&answer.decoded_json).unwrap_or(serde_json::Value::String(answer.decoded_json));
        Ok(Shown {
            letter: letter(answer.letter.context("the answer has no letter")?),
            causes: answer.causes,
            headers: answer.headers.into_iter().map(text).collect(),
            decoded,
            history: answer.audit.into_iter().map(|it| (time(it.at), it.actor, it.verb, it.detail)).collect(),
        })
    }

    pub(crate) async fn replay(&mut self, id: &str, reason: &str) -> anyhow::Result<Letter> {
        let request = wire::ReplayLetterRequest { id: id.to_owned(), reason: reason.to_owned(), request_id: Uuid::new_v4().to_string() };
        let answer = self.0.replay_letter(request).await.map_err(said)?.into_inner();
        Ok(letter(answer.letter.context("the answer has no letter")?))
    }

    pub(crate) async fn discard(&mut self, id: &str, reason: &str, held: Held) -> anyhow::Result<(Letter, u32)> {
        let scope = match held {
            Held::Release => wire::DiscardScope::Release,
            Held::Discard => wire::DiscardScope::Chain,
        };
        let request_id = Uuid::new_v4().to_string();
        let request = wire::DiscardLetterRequest { id: id.to_owned(), reason: reason.to_owned(), scope: scope.into(), request_id };
        let answer = self.0.discard_letter(request).await.map_err(said)?.into_inner();
        Ok((letter(answer.letter.context("the answer has no letter")?), answer.discarded))
    }
}

/// A record of several megabytes comes twice: as bytes, and as text that escapes some of them.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What the service answered instead.
#[derive(Debug)]
pub(crate) struct Refused(Status);

impl Refused {
    pub(crate) fn is_away(&self) -> bool {
        self.0.code() == Code::Unavailable
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.message())
    }
}

impl Error for Refused {}

fn said(status: Status) -> anyhow::Error {
    let refused = format!("the dead-letter-replayer refused ({:?})", status.code());
    anyhow::Error::new(Refused(status)).context(refused)
}

fn wire_state(state: State) -> wire::LetterState {
    match state {
        State::Dead => wire::LetterState::Dead,
        State::Held => wire::LetterState::Held,
        State::Waiting => wire::LetterState::Waiting,
        State::Replaying => wire::LetterState::Replaying,
        State::Applied => wire::LetterState::Applied,
        State::Superseded => wire::LetterState::Superseded,
        State::Discarded => wire::LetterState::Discarded,
    }
}

fn letter(it: wire::Letter) -> Letter {
    let state = it.state().as_str_name().trim_start_matches("LETTER_STATE_").to_lowercase();
    Letter {
        origin: format!("{}[{}]@{}", it.topic, it.partition, it.offset),
        first_failed_at: time(it.first_failed_at),
        last_failed_at: time(it.last_failed_at),
        next_try_at: time(it.retry_at),
        id: it.id,
        group: it.group,
        key: it.aggregate,
        state,
        class: it.class,
        code: it.code,
        message: it.message,
        attempts: it.attempts,
        held_behind_it: it.held,
    }
}

fn time(at: Option<prost_types::Timestamp>) -> String {
    at.and_then(|it| DateTime::from_timestamp(it.seconds, u32::try_from(it.nanos).ok()?))
        .map(|it| it.format("%F %T").to_string())
        .unwrap_or_default()
}

pub(crate) fn listed(letters: &[Letter]) -> String {
    if letters.is_empty() {
        return "no letters\n".to_owned();
    }
    let row = |it: &Letter| {
        let next_try = (!it.next_try_at.is_empty()).then(|| format!("next try {}", it.next_try_at));
        let behind = (it.held_behind_it > 0).then(|| format!("{} held behind it", it.held_behind_it));
        let notes: Vec<_> = next_try.into_iter().chain(behind).collect();
        vec![it.id.clone(), it.state.clone(), it.group.clone(), it.key.clone(), it.code.clone(), it.message.clone(), notes.join(", ")]
    };
    table(&["id", "state", "group", "key", "code", "what", ""], &letters.iter().map(row).collect::<Vec<_>>())
}

fn shown(it: &Shown) -> String {
    let letter = &it.letter;
    let mut out = format!(
        "{}  {}\n{} of {}\n{} ({}): {}\nsee {}\nattempts {}, first {}, last {}\nread from {}\n",
        letter.id,
        letter.state,
        letter.key,
        letter.group,
        letter.code,
        letter.class,
        letter.message,
        fault::page(&letter.code),
        letter.attempts,
        letter.first_failed_at,
        letter.last_failed_at,
        letter.origin
    );
    if !letter.next_try_at.is_empty() {
        out += &format!("tried again at {}\n", letter.next_try_at);
    }
    for cause in &it.causes {
        out += &format!("  because {cause}\n");
    }
    out += "\nheaders\n";
    for (name, value) in &it.headers {
        out += &format!("  {name}: {value}\n");
    }
    let decoded = serde_json::to_string_pretty(&it.decoded).unwrap_or_default();
    out += &format!("\nrecord (personal data shows with --payload)\n{decoded}\n\nhistory\n");
    for (at, actor, verb, detail) in &it.history {
        out += &format!("  {at}  {actor}  {verb}  {detail}\n");
    }
    if letter.state == "dead" || letter.state == "waiting" {
        out += &format!(
            "\nnext: tradewind dlq replay {} --reason '…'\n      tradewind dlq discard {} --reason '…' --held release\n",
            letter.id, letter.id
        );
    }
    out
}
