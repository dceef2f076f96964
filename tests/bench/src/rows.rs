//! The rows of the table, each in its file, and the order in which they run.

mod adapter;
mod backlog;
mod cold_start;
mod door;
mod end_to_end;
mod groups;
mod pass_through;
mod recovery;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::args::{Run, Size};
use crate::machine;
use crate::postgres::Databases;
use crate::table::{Line, render};

/// What every row needs.
pub(crate) struct Bench {
    pub(crate) brokers: String,
    pub(crate) databases: Databases,
    pub(crate) programs: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) size: Size,
    pub(crate) core: Option<usize>,
    /// Where the other consumer of row 9 is.
    pub(crate) peer: Option<PathBuf>,
    servers: Vec<u32>,
}

impl Bench {
    /// For what is measured as a whole, and last.
    pub(crate) fn unpin(&mut self) -> anyhow::Result<()> {
        if self.core.take().is_some() { machine::unpin(&self.servers) } else { Ok(()) }
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// How often measurements alternate.
    pub(crate) fn rounds(&self) -> usize {
        self.size.of(5, 2)
    }
}

/// Runs what is asked for. A row that fails is void; the others go on.
pub(crate) async fn run(args: Run) -> anyhow::Result<()> {
    let databases = Databases::new(&args.database).await?;
    let versions = format!("Kafka {}, PostgreSQL {}", args.kafka_version, databases.version().await?);
    let about = machine::describe(args.party_core, &versions);
    let mut bench = Bench {
        brokers: args.brokers,
        databases,
        programs: args.programs,
        dir: args.dir,
        size: args.size,
        core: args.party_core,
        peer: args.peer,
        servers: args.servers,
    };
    let mut lines = Vec::new();
    for row in ["17", "1", "6a", "6", "7", "8", "9", "10"] {
        if !args.rows.is_empty() && !args.rows.iter().any(|it| it == row) {
            continue;
        }
        eprintln!("bench: row {row} ...");
        let measured = match row {
            "17" => cold_start::row(&mut bench).await,
            "1" => door::row(&mut bench).await,
            "6a" => pass_through::row(&mut bench).await,
            "6" => groups::row(&mut bench).await,
            "7" => backlog::row(&mut bench).await,
            "8" => adapter::row(&mut bench).await,
            "9" => recovery::row(&mut bench).await,
            _ => end_to_end::row(&mut bench).await,
        };
        match measured {
            Ok(measured) => lines.extend(measured),
            Err(error) => lines.push(Line::void(row, "the whole row", format!("{error:#}"))),
        }
    }
    let load = format!("Load at the end: {}.", machine::load());
    let text = render(&lines, &[about, load]);
    println!("{text}");
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    }
    std::fs::write(&args.out, &text).with_context(|| format!("{} can't be written", args.out.display()))?;
    Ok(())
}
