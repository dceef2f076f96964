//! A database role per service, with the rights that its service needs and no others.
//!
//! They are group roles, which nobody logs in as: an installation makes its own login roles, with its own passwords, and puts
//! each into one of these. What each may do stands in `roles/grants.sql`.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use crate::{Error, Owner, Store, StoreSettings, Tx};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Writes the schema of its owner, and letters.
    Owner(Owner),
    /// Changes letters, draws the account up, deletes what was settled long ago.
    Replayer,
    /// Reads what became of things, without any record's bytes.
    Reader,
}

impl Role {
    pub const ALL: [Self; 6] = [
        Self::Owner(Owner::Ingest),
        Self::Owner(Owner::Router),
        Self::Owner(Owner::Effects),
        Self::Owner(Owner::Stock),
        Self::Replayer,
        Self::Reader,
    ];

    /// What follows the prefix.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Owner(owner) => owner.schema(),
            Self::Replayer => "replayer",
            Self::Reader => "reader",
        }
    }

    /// Who logs in as a member of it.
    pub fn of(self) -> &'static str {
        match self {
            Self::Owner(Owner::Ingest) => "storefront-ingest",
            Self::Owner(Owner::Router) => "order-router",
            Self::Owner(Owner::Effects) => "erp-adapter",
            Self::Owner(Owner::Stock) => "inventory-sync",
            Self::Replayer => "dead-letter-replayer",
            Self::Reader => "tradewind account, tradewind trace, tradewind backfill --status",
        }
    }
}

/// What stands before the name of each role: lower case, so that it means the same with and without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` can't stand before the names of roles: up to 40 of a-z, 0-9 and _, a letter first, not `pg_`; for example `tradewind_`, which makes `tradewind_ingest`"
)]
pub struct PrefixError(String);

impl std::str::FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(prefix: &str) -> Result<Self, PrefixError> {
        let is_name =
            prefix.chars().all(|it| matches!(it, 'a'..='z' | '0'..='9' | '_')) && prefix.starts_with(|it: char| it.is_ascii_lowercase());
        if is_name && prefix.len() <= 40 && !prefix.starts_with("pg_") {
            Ok(Self(prefix.to_owned()))
        } else {
            Err(PrefixError(prefix.to_owned()))
        }
    }
}

impl Prefix {
    pub fn role(&self, role: Role) -> String {
        format!("{}{}", self.0, role.suffix())
    }
}

/// Makes the roles that are missing and gives all of them their rights: to be run by the role that ran the migrations, after
/// them. Once more changes nothing; after an upgrade it takes away what is not needed any more. Returns the roles it made.
pub async fn grant(settings: &StoreSettings, prefix: &Prefix) -> Result<Vec<String>, Error> {
    let settings = StoreSettings { connections_max: 1, acquire_timeout: Duration::from_secs(30), ..settings.clone() };
    let store = Store::open(&settings).await?;
    let prefix = prefix.clone();
    // All of it at once: a service that runs meanwhile must never be without its rights.
    let made = store.transaction(move |tx| Box::pin(async move { grant_all(tx, &prefix).await })).await;
    store.close().await;
    made
}

async fn grant_all(tx: &mut Tx, prefix: &Prefix) -> Result<Vec<String>, Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('roles', 0))").execute(&mut *tx).await?;
    let mut made = Vec::new();
    for role in Role::ALL.map(|it| prefix.role(it)) {
        let is_there: bool =
            sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)").bind(&role).fetch_one(&mut *tx).await?;
        if !is_there {
            sqlx::raw_sql(AssertSqlSafe(create(&role))).execute(&mut *tx).await?;
            made.push(role);
        }
    }
    let all = Role::ALL.map(|it| prefix.role(it)).join(", ");
    let owners: String = Owner::ALL.iter().map(|it| OF_OWNER.replace("{schema}", it.schema())).collect();
    let grants = GRANTS.replace("{owners}", &owners).replace("{all}", &all).replace("{p}", &prefix.0);
    sqlx::raw_sql(AssertSqlSafe(grants)).execute(tx).await?;
    Ok(made)
}

/// Roles belong to the server: another database's installation may be making the same one.
fn create(role: &str) -> String {
    format!("do $$ begin create role {role} nologin; exception when duplicate_object or unique_violation then null; end $$")
}

const GRANTS: &str = include_str!("roles/grants.sql");
const OF_OWNER: &str = include_str!("roles/owner.sql");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_makes_names_that_need_no_quotes() {
        let prefix: Prefix = "tradewind_".parse().unwrap();
        assert_eq!(prefix.role(Role::Owner(Owner::Ingest)), "tradewind_ingest");
        assert_eq!(prefix.role(Role::Reader), "tradewind_reader");
        for bad in ["", "Tradewind", "1_", "_x", "pg_x", "a-b", "a b", "a;drop role x", &"a".repeat(41)] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }
}
