//! `tradewind backfill`: orders a shop's past, and says how far that is.

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use domain::EntityKind;
use serde::Serialize;
use store::Store;
use storefront_ingest::shell::sweeper::{Asked, Progress, ask, progress};

use crate::args::{Backfill, Listable};
use crate::config::Settings;
use crate::exit;
use crate::print::{Printer, table};

/// What came of the wish.
#[derive(Serialize)]
struct Answer {
    ordered: bool,
    /// Of the one that was ordered, or of the one that is in the way.
    id: Option<i64>,
    connection: String,
    kind: &'static str,
    since: DateTime<Utc>,
    message: String,
}

pub(crate) async fn run(args: Backfill, settings: &Settings, printer: Printer) -> anyhow::Result<ExitCode> {
    let store = Store::open(&settings.store).await.context("the database can't be reached")?;
    if args.status {
        printer.print(&progress(&store, args.connection.as_deref()).await?, |all| text(all));
        return Ok(ExitCode::SUCCESS);
    }
    let connection = args.connection.context("name the connection")?;
    let since = args.since.context("say since when")?;
    let kind = match args.kind {
        Listable::Orders => EntityKind::Order,
        Listable::Customers => EntityKind::Customer,
    };
    let asked = ask(&store, &connection, kind, since).await.context("the backfill could not be ordered")?;
    let answer = Answer {
        ordered: matches!(asked, Asked::Ordered(_)),
        id: match &asked {
            Asked::Ordered(id) | Asked::Busy { id, .. } => Some(*id),
            Asked::Unknown { .. } => None,
        },
        message: said(&asked, &connection, kind),
        connection,
        kind: kind.as_str(),
        since,
    };
    printer.print(&answer, |it| it.message.clone());
    Ok(if answer.ordered { ExitCode::SUCCESS } else { exit::NOT_GOOD.into() })
}

fn said(asked: &Asked, connection: &str, kind: EntityKind) -> String {
    match asked {
        Asked::Ordered(id) => format!("backfill {id} is ordered; `tradewind backfill --status` says how far it is"),
        Asked::Busy { id, since } => format!(
            "backfill {id} of {connection}, {kind}, since {} is not done yet, and one runs at a time; `tradewind backfill --status` says how far it is",
            since.format("%F %T")
        ),
        Asked::Unknown { known } if known.is_empty() => {
            "no storefront-ingest with sweeps has run on this database yet: start it, then order again".to_owned()
        }
        Asked::Unknown { known } => {
            format!("no connection `{connection}` that lists its {kind}s has run on this database; there are: {}", known.join(", "))
        }
    }
}

fn text(all: &[Progress]) -> String {
    if all.is_empty() {
        return "no backfill was ordered yet\n".to_owned();
    }
    let row = |it: &Progress| {
        let time = |it: DateTime<Utc>| it.format("%F %T").to_string();
        vec![
            it.id.to_string(),
            it.connection.clone(),
            it.kind.clone(),
            time(it.since),
            it.state.clone(),
            it.listed.to_string(),
            it.ordered.to_string(),
            it.done.to_string(),
            time(it.done_at.unwrap_or(it.updated_at)),
        ]
    };
    let head = ["id", "connection", "kind", "since", "state", "listed", "ordered", "done", "as of"];
    table(&head, &all.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_named() {
        let since = "2026-01-01T00:00:00Z".parse().unwrap();
        let said = |asked| said(&asked, "shop-us", EntityKind::Order);
        assert!(said(Asked::Busy { id: 7, since }).starts_with("backfill 7 of shop-us, order, since 2026-01-01 00:00:00 is not done yet"));
        assert!(said(Asked::Unknown { known: vec!["shop-eu".to_owned()] }).ends_with("there are: shop-eu"));
        assert!(said(Asked::Unknown { known: Vec::new() }).contains("start it"));
    }

    #[test]
    fn progress_is_a_line_per_backfill() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let progress = Progress {
            id: 3,
            connection: "shop-eu".to_owned(),
            kind: "order".to_owned(),
            since: at,
            state: "reading".to_owned(),
            listed: 500,
            ordered: 40,
            done: 12,
            asked_at: at,
            updated_at: at,
            done_at: None,
        };
        let shown = text(&[progress]);
        let line = shown.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(line, ["3", "shop-eu", "order", "2026-01-01", "00:00:00", "reading", "500", "40", "12", "2026-01-01", "00:00:00"]);
        assert!(text(&[]).contains("no backfill"));
    }
}
