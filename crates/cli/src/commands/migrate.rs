//! `tradewind migrate`: the schema of this version, and who may do what in it.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use store::Store;
use store::roles::{self, Prefix, Role};

use crate::args::Migrate;
use crate::config::Settings;
use crate::exit;
use crate::print::{Printer, table};

#[derive(Serialize)]
struct Pending {
    pending: usize,
    /// Not where roles were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<Granted>>,
}

#[derive(Serialize)]
struct Granted {
    name: String,
    /// Who logs in as a member of it.
    #[serde(rename = "for")]
    of: &'static str,
    made: bool,
}

pub(crate) async fn run(args: Migrate, settings: &Settings, printer: Printer) -> anyhow::Result<ExitCode> {
    if args.check {
        let store = Store::open(&settings.store).await.context("the database can't be reached")?;
        let pending = store::pending_migrations(&store).await?;
        printer.print(&Pending { pending, roles: None }, |it| format!("migrations missing: {}", it.pending));
        return Ok(if pending == 0 { ExitCode::SUCCESS } else { exit::NOT_GOOD.into() });
    }
    store::migrate(&settings.store).await.context("the database could not be migrated")?;
    let roles = match &args.roles {
        Some(prefix) => Some(grant(prefix, settings).await?),
        None => None,
    };
    printer.print(&Pending { pending: 0, roles }, text);
    Ok(ExitCode::SUCCESS)
}

async fn grant(prefix: &Prefix, settings: &Settings) -> anyhow::Result<Vec<Granted>> {
    let made = roles::grant(&settings.store, prefix).await.context("the schema is migrated, but the roles could not be set up")?;
    let granted = |role: Role| {
        let name = prefix.role(role);
        Granted { of: role.of(), made: made.contains(&name), name }
    };
    Ok(Role::ALL.into_iter().map(granted).collect())
}

fn text(migrated: &Pending) -> String {
    let done = "the database has this version's schema\n".to_owned();
    let Some(roles) = &migrated.roles else { return done };
    let row = |it: &Granted| vec![it.name.clone(), it.of.to_owned(), if it.made { "made" } else { "was there" }.to_owned()];
    let rows: Vec<_> = roles.iter().map(row).collect();
    let next = format!("\nrights are set; a login per process: create role <name> login password '…' in role {};\n", roles[0].name);
    done + "\n" + &table(&["role", "for", ""], &rows) + &next
}
