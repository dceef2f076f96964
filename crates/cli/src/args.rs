//! The command line. Its help is the first page of the manual: examples first.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args as ClapArgs, CommandFactory as _, Parser, Subcommand, ValueEnum};
use domain::EntityKind;
use store::account::Cursor;

const EXAMPLES: &str = "\
Examples:
  tradewind dev --demo                      everything in one process, and a shop's day played through it
  tradewind account                         what became of every change; exits 3 or 4 when something is missing
  tradewind account ids --state dead        which ones they are
  tradewind trace 1001                      one order, from the webhook to the ERP's number
  tradewind dlq list                        what could not be applied, and why
  tradewind dlq replay <id> --reason 'item added'
  tradewind backfill shop-eu --since 2026-01-01
  tradewind topics check && tradewind rules check routes.toml

Exit codes: 0 good, 1 looked at and not good, 2 usage, 3 to 5 the account does not balance, 69 something does not answer, 70 failed, 78 settings.
Data goes to standard output, everything else to standard error; --json gives data to programs.";

#[derive(Debug, Parser)]
#[command(name = "tradewind", version, about = "Keeps web shops and ERPs in step by events", after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Args {
    /// Where the installation is; without it defaults and the environment (TRADEWIND__STORE__URL=…)
    #[arg(long, global = true, env = "TRADEWIND_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All services in one process, with an embedded broker, a private database and sandbox platforms
    Dev(Dev),
    /// What became of every change that was accepted, by group and state
    Account(Account),
    /// One order's way through everything: deliveries, versions, commands, effects, letters
    Trace(Trace),
    /// Dead letters: list, show, replay, discard
    Dlq {
        #[command(subcommand)]
        command: Dlq,
    },
    /// Takes a shop's past in: what changed there since a day and is not known here
    Backfill(Backfill),
    /// The topics of the installation: create, compare
    Topics {
        #[command(subcommand)]
        command: Topics,
    },
    /// Routing rules: check a file before it is rolled out
    Rules {
        #[command(subcommand)]
        command: Rules,
    },
    /// What each connector promises for each step of each operation
    Connectors,
    /// Brings the database's schema up to this version
    Migrate(Migrate),
    /// Sandbox platforms alone: a Shopify and an ERP to develop against
    Sandbox(Sandbox),
    /// Settings files for a local installation of real parts; `make up` uses it
    #[command(hide = true)]
    LocalConfig(LocalConfig),
    /// A completion script, for example: tradewind completions bash > /etc/bash_completion.d/tradewind
    Completions { shell: Shell },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Dev {
    /// Play a shop's day, print its account, and end with 0 only if everything balances
    #[arg(long)]
    pub(crate) demo: bool,
    /// Go on running after the demo, with the addresses printed
    #[arg(long)]
    pub(crate) keep: bool,
    /// Orders of the demo's day
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) orders: u32,
    /// Seconds that the ERP is away in the middle of the day
    #[arg(long, default_value_t = 10, value_name = "S")]
    pub(crate) outage: u64,
    /// The same seed plays the same day
    #[arg(long, default_value_t = 1, env = "SEED")]
    pub(crate) seed: u64,
    /// Files of this run: secrets, the database's cluster, a settings file for the other commands
    #[arg(long, default_value = ".local/dev", value_name = "FOLDER")]
    pub(crate) dir: PathBuf,
    /// A PostgreSQL server to use instead of a private one; a new database is made in it at each start
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
}

const ACCOUNT: &str = "\
Examples:
  tradewind account --since 2026-11-01 --until 2026-12-01
  tradewind account --by entity --connection shop-eu
  tradewind account ids --state dead --connection shop-eu --entity orders --since 2026-11-01
  tradewind --json account ids --state in_flight --limit 1000

A window goes by when something was taken on: a delivery recorded, an event produced. That never changes, so windows that meet
add up. Whatever is asked for, both checks are of everything.

Exit codes: 3 a delivery was passed over, 4 an event has no answer, 5 both. See docs/runbooks/account.md.";

#[derive(Debug, ClapArgs)]
#[command(after_help = ACCOUNT, args_conflicts_with_subcommands = true)]
pub(crate) struct Account {
    #[command(subcommand)]
    pub(crate) command: Option<AccountCommand>,
    #[command(flatten)]
    pub(crate) part: AccountPart,
    /// One row for each; given twice, for each of both
    #[arg(long, value_enum, default_value = "connection")]
    pub(crate) by: Vec<By>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// The ids behind a sum, as they were taken on, page by page
    Ids {
        #[command(flatten)]
        part: AccountPart,
        /// Only this state
        #[arg(long, value_enum)]
        state: Option<AccountState>,
        /// Most ids of a page
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// Where the page before ended, as it said
        #[arg(long, value_name = "PLACE")]
        after: Option<Cursor>,
    },
}

/// Which part of the account.
#[derive(Debug, ClapArgs)]
pub(crate) struct AccountPart {
    /// Only this connection or target
    #[arg(long)]
    pub(crate) connection: Option<String>,
    /// Only entities of this kind: orders, customers, refunds, stock, raw
    #[arg(long, value_parser = kind)]
    pub(crate) entity: Option<String>,
    /// Only what this group must answer for
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Taken on since this day (UTC) or time: 2026-01-01, 2026-01-01T12:00:00+02:00
    #[arg(long, value_name = "DAY", value_parser = moment)]
    pub(crate) since: Option<DateTime<Utc>>,
    /// And before this one
    #[arg(long, value_name = "DAY", value_parser = moment)]
    pub(crate) until: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Connection,
    Entity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum AccountState {
    Applied,
    Superseded,
    Held,
    Dead,
    Discarded,
    InFlight,
    Missing,
}

/// People ask for `orders`, the ledgers say `order`.
fn kind(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let one = text.strip_suffix('s').filter(|it| it.parse::<EntityKind>().is_ok());
    Ok(one.map_or(text.clone(), str::to_owned))
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Trace {
    /// The shop's order id, the number that the buyer sees, the ERP's number, or an aggregate key
    pub(crate) order: String,
}

const BACKFILL: &str = "\
storefront-ingest does the work, page by page, while live traffic leaves room in the shop's API budget; it survives restarts.
One runs at a time per connection and kind. What is known already is not read. Events that follow carry the header
tw-found-by: backfill, so that nobody writes to customers because of them.
Ordering one needs a database login in the role of storefront-ingest; to look, the reader's will do.";

#[derive(Debug, ClapArgs)]
#[command(after_help = BACKFILL)]
pub(crate) struct Backfill {
    /// The connection, such as shop-eu; with --status only its backfills
    #[arg(required_unless_present = "status")]
    pub(crate) connection: Option<String>,
    /// What is taken in
    #[arg(long, value_enum, default_value = "orders")]
    pub(crate) kind: Listable,
    /// What changed since this day (UTC) or time: 2026-01-01, 2026-01-01T12:00:00+02:00
    #[arg(long, value_name = "DAY", value_parser = since, required_unless_present = "status")]
    pub(crate) since: Option<DateTime<Utc>>,
    /// How far the last ones are
    #[arg(long, conflicts_with = "since")]
    pub(crate) status: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listable {
    Orders,
    Customers,
}

fn since(text: &str) -> Result<DateTime<Utc>, String> {
    let time = moment(text)?;
    if time > Utc::now() { Err("it lies in the future".to_owned()) } else { Ok(time) }
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let day = text.parse::<NaiveDate>().map(|it| it.and_time(NaiveTime::MIN).and_utc());
    let time = day.or_else(|_| DateTime::parse_from_rfc3339(text).map(|it| it.to_utc()));
    time.map_err(|_| "write a day, such as 2026-01-01, or a time with its zone, such as 2026-01-01T12:00:00Z".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// Letters, last failure first
    List {
        /// Only this state; without it dead, waiting and held
        #[arg(long)]
        state: Option<State>,
        #[arg(long)]
        group: Option<String>,
        #[arg(long)]
        code: Option<String>,
        /// Only this aggregate key, such as shop-eu/order/1001
        #[arg(long)]
        key: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One letter: decoded, with its headers, causes and history
    Show {
        id: String,
        /// With personal data; the look is logged
        #[arg(long)]
        payload: bool,
    },
    /// Another try in the group that failed; what is held behind it follows in order
    Replay {
        id: String,
        /// Why; kept with the letter
        #[arg(long)]
        reason: String,
    },
    /// Give a letter up
    Discard {
        id: String,
        /// Why; kept with the letter
        #[arg(long)]
        reason: String,
        /// What becomes of the records held behind it
        #[arg(long, value_enum)]
        held: Held,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum State {
    Dead,
    Held,
    Waiting,
    Replaying,
    Applied,
    Superseded,
    Discarded,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Held {
    /// They follow in order
    Release,
    /// They are discarded as well
    Discard,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Creates what is missing and sets what differs; never deletes
    Apply,
    /// Says what differs; exits 1 if anything does
    Check,
    /// Prints the topic table
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// Says what is wrong in a rules file, by line and column; exits 1 if anything is
    Check {
        file: PathBuf,
        /// Targets that exist; without it every name is taken
        #[arg(long, value_name = "NAME")]
        target: Vec<String>,
    },
}

const MIGRATE: &str = "\
Run it with the role that owns the schema, before the new version's services start.

With --roles each service can have its own login, which reaches what its service needs and nothing else:
  tradewind migrate --roles tw_
makes tw_ingest, tw_router, tw_effects, tw_stock, tw_replayer and tw_reader,
which nobody logs in as, and sets their rights. It needs the right to make roles only while one is missing. Then, once:
  create role ingest_1 login password '…' in role tw_ingest;
and in the settings of storefront-ingest:
  store.url = \"postgres://ingest_1@db/tradewind\"
Give --roles at every migration: rights follow the version. See docs/how-to/database-roles.md.";

#[derive(Debug, ClapArgs)]
#[command(after_help = MIGRATE)]
pub(crate) struct Migrate {
    /// Only say how many migrations are missing; exits 1 if any is
    #[arg(long, conflicts_with = "roles")]
    pub(crate) check: bool,
    /// Then make a role per service, with this before each name, and set its rights; once more changes nothing
    #[arg(long, value_name = "PREFIX")]
    pub(crate) roles: Option<store::roles::Prefix>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Sandbox {
    /// Where webhooks are sent
    #[arg(long, default_value = "http://127.0.0.1:8080/webhooks/shop-eu", value_name = "URL")]
    pub(crate) door: String,
    /// The shop's port; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Without the ERP
    #[arg(long)]
    pub(crate) shop_only: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LocalConfig {
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long)]
    pub(crate) brokers: String,
    #[arg(long)]
    pub(crate) database: String,
    /// What `tradewind --json sandbox` printed
    #[arg(long)]
    pub(crate) shop: PathBuf,
    #[arg(long)]
    pub(crate) erp_url: String,
    /// The ids of the ERP's records, as its local setup writes them
    #[arg(long)]
    pub(crate) erp_ids: PathBuf,
    /// Requests to the ERP at once
    #[arg(long)]
    pub(crate) erp_concurrency: Option<u16>,
    #[arg(long)]
    pub(crate) base_port: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

pub(crate) fn completions(shell: Shell) {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Elvish => clap_complete::Shell::Elvish,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    clap_complete::generate(shell, &mut Args::command(), "tradewind", &mut std::io::stdout());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn roles_have_a_prefix_that_makes_plain_names() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        assert!(parse("tradewind migrate --roles tw_").is_ok());
        assert!(parse("tradewind migrate --roles Trade-Wind").is_err());
        assert!(parse("tradewind migrate --roles tw_ --check").is_err());
    }

    #[test]
    fn a_backfill_says_since_when_and_a_look_at_them_does_not() {
        let parse = |line: &str| match Args::try_parse_from(line.split(' ')).map(|it| it.command) {
            Ok(Command::Backfill(it)) => Some((it.connection, it.kind, it.since.map(|it| it.to_rfc3339()), it.status)),
            _ => None,
        };
        let (shop, day) = (Some("shop-eu".to_owned()), Some("2026-01-01T00:00:00+00:00".to_owned()));
        let expected = Some((shop.clone(), Listable::Orders, day, false));
        assert_eq!(parse("tradewind backfill shop-eu --since 2026-01-01"), expected);
        assert_eq!(parse("tradewind backfill shop-eu --since 2026-01-01T02:00:00+02:00"), expected);
        assert_eq!(parse("tradewind backfill shop-eu --kind customers --since 2026-01-01").map(|it| it.1), Some(Listable::Customers));
        assert_eq!(parse("tradewind backfill --status"), Some((None, Listable::Orders, None, true)));
        assert_eq!(parse("tradewind backfill shop-eu --status"), Some((shop, Listable::Orders, None, true)));
        for bad in [
            "shop-eu",
            "--since 2026-01-01",
            "shop-eu --since yesterday",
            "shop-eu --since 9999-01-01",
            "shop-eu --since 2026-01-01 --status",
        ] {
            assert_eq!(parse(&format!("tradewind backfill {bad}")), None, "{bad}");
        }
    }

    #[test]
    fn an_account_is_of_everything_or_of_a_part_and_ids_come_in_pages() {
        let parse = |line: &str| match Args::try_parse_from(line.split(' ')).map(|it| it.command) {
            Ok(Command::Account(it)) => Some(it),
            _ => None,
        };
        let whole = parse("tradewind account").unwrap();
        assert!(whole.command.is_none() && whole.part.since.is_none());
        assert_eq!(whole.by, [By::Connection]);
        let part = parse("tradewind account --since 2026-01-01 --until 9999-01-01 --by connection --by entity --entity orders").unwrap();
        assert_eq!((part.by, part.part.entity.as_deref()), (vec![By::Connection, By::Entity], Some("order")));
        let ids = "tradewind account ids --state in_flight --connection shop-eu --entity stock --limit 5";
        let Some(AccountCommand::Ids { part, state, limit, after }) = parse(ids).unwrap().command else { panic!("ids") };
        assert_eq!((part.entity.as_deref(), state, limit, after), (Some("stock"), Some(AccountState::InFlight), 5, None));
        for bad in ["--since yesterday", "ids --state gone", "ids --limit 0", "ids --after 7", "--by day", "--since 2026-01-01 ids"] {
            assert!(parse(&format!("tradewind account {bad}")).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_discard_says_why_and_what_becomes_of_the_held_ones() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        assert!(parse("tradewind dlq discard 1 --reason test").is_err());
        assert!(parse("tradewind dlq discard 1 --held release").is_err());
        assert!(parse("tradewind dlq discard 1 --reason test --held release").is_ok());
    }
}
