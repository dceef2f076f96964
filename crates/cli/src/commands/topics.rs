//! `tradewind topics`: the topics of the installation.

use std::process::ExitCode;

use contracts::topics::{self, Topic, Visibility};
use serde::Serialize;

use crate::args::Topics;
use crate::config::Settings;
use crate::exit;
use crate::print::{Printer, table};

#[derive(Serialize)]
struct Row {
    name: String,
    key: &'static str,
    partitions: i32,
    retention_days: u64,
    message_bytes_max: u32,
    visibility: &'static str,
}

#[derive(Serialize)]
struct Said {
    done: Vec<String>,
    differs: Vec<String>,
    warnings: Vec<String>,
}

pub(crate) async fn run(command: Topics, settings: &Settings, printer: Printer) -> anyhow::Result<ExitCode> {
    let table_of = topics::table(&settings.installation.targets());
    let (replication, min_insync) = (settings.installation.replication, settings.installation.min_insync);
    let said = match command {
        Topics::List => {
            printer.print(&table_of.iter().map(|it| row(it, &settings.bus.prefix)).collect::<Vec<_>>(), |rows| listed(rows));
            return Ok(ExitCode::SUCCESS);
        }
        Topics::Check => {
            let differs = bus::topics::check(&settings.bus, &table_of, replication, min_insync).await?;
            Said { done: Vec::new(), differs: differs.iter().map(ToString::to_string).collect(), warnings: Vec::new() }
        }
        Topics::Apply => {
            let report = bus::topics::apply(&settings.bus, &table_of, replication, min_insync).await?;
            Said {
                done: report.done.iter().map(ToString::to_string).collect(),
                differs: report.left.iter().map(ToString::to_string).collect(),
                warnings: report.warnings,
            }
        }
    };
    printer.print(&said, text);
    Ok(if said.differs.is_empty() { ExitCode::SUCCESS } else { exit::NOT_GOOD.into() })
}

fn row(topic: &Topic, prefix: &str) -> Row {
    Row {
        name: format!("{prefix}{}", topic.name),
        key: topic.key,
        partitions: topic.partitions,
        retention_days: topic.retention.as_secs() / 86_400,
        message_bytes_max: topic.message_bytes_max,
        visibility: match topic.visibility {
            Visibility::Public => "public",
            Visibility::Internal => "internal",
        },
    }
}

fn listed(rows: &[Row]) -> String {
    let cells = |it: &Row| {
        let numbers = [it.partitions.to_string(), it.retention_days.to_string(), it.message_bytes_max.to_string()];
        [it.name.clone(), it.key.to_owned()].into_iter().chain(numbers).chain([it.visibility.to_owned()]).collect()
    };
    table(&["topic", "key", "partitions", "days", "bytes max", "for"], &rows.iter().map(cells).collect::<Vec<_>>())
}

fn text(said: &Said) -> String {
    let mut out = String::new();
    for line in &said.done {
        out += &format!("done     {line}\n");
    }
    for line in &said.differs {
        out += &format!("differs  {line}\n");
    }
    for line in &said.warnings {
        out += &format!("warning  {line}\n");
    }
    if out.is_empty() { "the topics are as they should be\n".to_owned() } else { out }
}
