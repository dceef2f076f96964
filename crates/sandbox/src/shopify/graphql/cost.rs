//! What a query may cost at most, before it runs: a mutation 10, a resource 1, a connection its page times what stands in it.

use super::arguments::Request;
use super::error::GraphqlError;
use super::parse::{OperationKind, Selection};
use super::project::cost_of;

/// Of one query.
pub(super) const COST_MAX: u64 = 1000;

/// Of a mutation, beside what it returns.
pub(super) const MUTATION: u64 = 10;

pub(super) fn requested(request: &Request<'_>) -> Result<u64, GraphqlError> {
    let mut cost: u64 = 0;
    for field in request.fields(&request.operation.selections, "QueryRoot")? {
        let own = if request.operation.kind == OperationKind::Mutation { MUTATION } else { 1 };
        cost = cost.saturating_add(own).saturating_add(paged(of(&field.selections, request)?, page(field, request)?));
    }
    Ok(cost)
}

fn of(selections: &[Selection], request: &Request<'_>) -> Result<u64, GraphqlError> {
    let mut cost: u64 = 0;
    for selection in selections {
        let part = match selection {
            Selection::Field(field) => paged(of(&field.selections, request)?, page(field, request)?).saturating_add(cost_of(&field.name)),
            Selection::Inline { selections, .. } => of(selections, request)?,
            // Fragments cost where they are spread; unfolding finds them.
            Selection::Spread(_) => spread(selection, request)?,
        };
        cost = cost.saturating_add(part);
    }
    Ok(cost)
}

fn spread(selection: &Selection, request: &Request<'_>) -> Result<u64, GraphqlError> {
    let mut cost: u64 = 0;
    for field in request.spread_fields(selection)? {
        cost = cost.saturating_add(paged(of(&field.selections, request)?, page(field, request)?)).saturating_add(cost_of(&field.name));
    }
    Ok(cost)
}

fn page(field: &super::parse::Field, request: &Request<'_>) -> Result<Option<u64>, GraphqlError> {
    Ok(request.arguments(&field.arguments)?.get("first").and_then(serde_json::Value::as_u64))
}

fn paged(inner: u64, page: Option<u64>) -> u64 {
    page.map_or(inner, |first| first.saturating_mul(inner.saturating_add(1)))
}
