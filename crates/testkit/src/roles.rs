//! Services that log in to the database as they do in production: each under its own role.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::StoreSettings;
use store::roles::{self, Prefix, Role};

/// The addresses of one database for each role. Roles belong to the server, so all tests share them; rights belong to the
/// database.
#[derive(Debug, Clone)]
pub struct Logins {
    database: String,
}

impl Logins {
    pub async fn of(database: &str) -> Self {
        let prefix: Prefix = PREFIX.parse().expect("it is one");
        roles::grant(&StoreSettings::new(database), &prefix).await.expect("the owner of the schema may grant");
        let mut connection = PgConnection::connect(database).await.expect("the server answers");
        for role in Role::ALL {
            let create = format!(
                "do $$ begin create role {} login in role {}; exception when duplicate_object or unique_violation then null; end $$",
                login(role),
                prefix.role(role)
            );
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap_or_else(|error| panic!("{role:?}: {error}"));
        }
        Self { database: database.to_owned() }
    }

    /// The same through another port.
    #[must_use]
    pub fn at(mut self, port: Option<u16>) -> Self {
        if let Some(port) = port {
            let (server, rest) = self.database.rsplit_once(':').expect("an address of tests names its port");
            let (_, name) = rest.split_once('/').expect("an address ends in the database");
            self.database = format!("{server}:{port}/{name}");
        }
        self
    }

    /// Who connects with it is a member of the role and nothing else.
    pub fn url(&self, role: Role) -> String {
        let (_, place) = self.database.rsplit_once('@').expect("an address of tests names its user and no password");
        format!("postgres://{}@{place}", login(role))
    }
}

fn login(role: Role) -> String {
    format!("{PREFIX}{}_login", role.suffix())
}

const PREFIX: &str = "tw_test_";
