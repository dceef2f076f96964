//! The command line. `deploy/local/bench.sh` is its only caller; a party's is the program itself.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Measures the product against physical limits of the same run")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the rows and print the table
    Run(Run),
    /// One of the measured processes; the rows start them
    #[command(hide = true)]
    Party { name: String, orders: String },
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Run {
    /// A Kafka of its own
    #[arg(long)]
    pub(crate) brokers: String,
    /// A PostgreSQL of its own; databases are made in it
    #[arg(long)]
    pub(crate) database: String,
    /// Which Kafka that is, for the table
    #[arg(long)]
    pub(crate) kafka_version: String,
    /// Where the programs of the services are
    #[arg(long)]
    pub(crate) programs: PathBuf,
    /// A folder for settings and logs
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Where the table goes
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Which rows; all unless given
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    #[arg(long, value_enum, default_value_t = Size::Full)]
    pub(crate) size: Size,
    /// The core that parties are pinned to; none: nothing is pinned
    #[arg(long)]
    pub(crate) party_core: Option<usize>,
    /// Where the other consumer of row 9 is: its jars in `libs`, our program for it in `classes`
    #[arg(long)]
    pub(crate) peer: Option<PathBuf>,
    /// The processes of Kafka and PostgreSQL: a whole installation is measured with nothing pinned
    #[arg(long, value_delimiter = ',')]
    pub(crate) servers: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// Does it work? Its figures mean nothing.
    Tiny,
    Full,
}

impl Size {
    /// `full`, or a small part of it.
    pub(crate) fn of(self, full: usize, tiny: usize) -> usize {
        if self == Self::Full { full } else { tiny }
    }
}
