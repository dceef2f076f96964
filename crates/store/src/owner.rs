//! Which schema a service owns. All have a `decision` and an `output` table of the same shape.

use contracts::topics::groups;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    Ingest,
    Router,
    Effects,
    Stock,
}

impl Owner {
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Router, Self::Effects, Self::Stock];

    pub fn schema(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Router => "router",
            Self::Effects => "effects",
            Self::Stock => "stock",
        }
    }

    /// The schema that a group's decisions are in.
    pub fn of_group(group: &str) -> Option<Self> {
        match group {
            groups::MAPPER => Some(Self::Ingest),
            groups::ROUTER => Some(Self::Router),
            groups::STOCK => Some(Self::Stock),
            other if other.starts_with("erp-adapter-") => Some(Self::Effects),
            _ => None,
        }
    }

    /// SQL with `{schema}` filled in. The name comes from this closed set, never from outside.
    pub(crate) fn sql(self, template: &str) -> sqlx::AssertSqlSafe<String> {
        sqlx::AssertSqlSafe(template.replace("{schema}", self.schema()))
    }
}
