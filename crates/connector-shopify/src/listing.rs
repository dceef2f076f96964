//! What changed in the shop, page by page: ids and times only. Search results are sorted by the time of the change, then by id;
//! that is what makes it possible to go on from a time.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use connector::storefront::{ListFrom, ListPage, Listed, Listing};
use domain::EntityKind;
use fault::Fault;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::{GraphQl, PageInfo, Query};
use crate::error::CallError;
use crate::wire::{Id, Stamp};

/// Shopify's limit of a page, as it stands in the queries.
const PAGE: u32 = 250;
/// One search gives no more than this; a multiple of [`PAGE`]. Behind it, a new search goes on from the last time.
const SEARCH_MAX: u32 = 25_000;

macro_rules! changed {
    ($operation:literal, $list:literal) => {
        Query {
            operation: $operation,
            cost: 260,
            text: concat!(
                "query ",
                $operation,
                "($query: String!, $after: String) { list: ",
                $list,
                "(first: 250, after: $after, query: $query, sortKey: UPDATED_AT) { \
                 pageInfo { hasNextPage endCursor } nodes { id updatedAt } } }"
            ),
        }
    };
}

const ORDERS: Query = changed!("TradewindChangedOrders", "orders");
const CUSTOMERS: Query = changed!("TradewindChangedCustomers", "customers");

pub(crate) struct ShopifyListing {
    client: Arc<GraphQl>,
}

impl ShopifyListing {
    pub(crate) fn new(client: Arc<GraphQl>) -> Self {
        Self { client }
    }
}

/// A search, and how far it has come. Kept as text by whoever lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    since: DateTime<Utc>,
    /// Shopify's own cursor in this search.
    #[serde(default)]
    after: Option<String>,
    /// How many this search has given.
    #[serde(default)]
    given: u32,
}

impl Place {
    fn of(from: &ListFrom, operation: &'static str) -> Result<Self, CallError> {
        match from {
            ListFrom::Since(since) => Ok(Self { since: *since, after: None, given: 0 }),
            ListFrom::Cursor(text) => serde_json::from_str(text).map_err(|_| CallError::Request {
                operation,
                what: "the stored place of the listing is none of ours; it has to begin anew",
            }),
        }
    }

    /// Times have whole seconds there; a part of one would leave out what changed in that second.
    fn search(&self) -> String {
        format!("updated_at:>='{}'", self.since.to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    fn next(&self, answer: &List, operation: &'static str) -> Result<Option<Self>, CallError> {
        let given = self.given + u32::try_from(answer.nodes.len()).unwrap_or(PAGE);
        let last = answer.nodes.last().map(|it| it.updated_at.0);
        // What it says of more does not count where a search ends whatever there is.
        if let Some(last) = last.filter(|_| given >= SEARCH_MAX) {
            if last <= self.since {
                return Err(CallError::Request { operation, what: "more entities were changed in one second than a search can list" });
            }
            return Ok(Some(Self { since: last, after: None, given: 0 }));
        }
        match (&answer.page_info.end_cursor, answer.page_info.has_next_page) {
            (_, false) => Ok(None),
            (Some(after), true) => Ok(Some(Self { since: self.since, after: Some(after.clone()), given })),
            (None, true) => {
                Err(CallError::Shape { operation, path: "list.pageInfo.endCursor".to_owned(), expected: "a cursor".to_owned() })
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    list: List,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    page_info: PageInfo,
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: Id,
    updated_at: Stamp,
}

#[async_trait]
impl Listing for ShopifyListing {
    fn kinds(&self) -> &'static [EntityKind] {
        &[EntityKind::Order, EntityKind::Customer]
    }

    async fn page(&self, kind: EntityKind, from: &ListFrom) -> Result<ListPage, Fault> {
        let query = match kind {
            EntityKind::Order => &ORDERS,
            EntityKind::Customer => &CUSTOMERS,
            _ => return Err(CallError::Request { operation: "a listing", what: "this connector lists orders and customers only" }.into()),
        };
        let place = Place::of(from, query.operation)?;
        let answer: Answer = self.client.ask(query, &json!({ "query": place.search(), "after": place.after })).await?;
        let next = place.next(&answer.list, query.operation)?;
        let listed = answer.list.nodes.into_iter().map(|it| Listed { id: it.id.to_string(), updated_at: it.updated_at.0 }).collect();
        let next = next.map(|it| serde_json::to_string(&it).expect("a time, a text and a number are JSON"));
        Ok(ListPage { listed, next })
    }

    fn spare(&self) -> Option<f64> {
        self.client.spare()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    fn list(times: &[i64], more: bool) -> List {
        let nodes = times.iter().map(|it| Node { id: Id(1), updated_at: Stamp(at(*it)) }).collect();
        List { page_info: PageInfo { has_next_page: more, end_cursor: Some("c".to_owned()) }, nodes }
    }

    #[test]
    fn a_search_begins_with_the_whole_second_and_its_time_is_quoted() {
        let since = at(0) + chrono::TimeDelta::milliseconds(999);
        assert_eq!(Place { since, after: None, given: 0 }.search(), "updated_at:>='2026-09-21T14:13:20Z'");
    }

    #[test]
    fn a_page_goes_on_behind_the_one_before_until_there_is_no_more() {
        let first = Place { since: at(0), after: None, given: 0 };
        let second = first.next(&list(&[1, 2], true), "x").unwrap().unwrap();
        assert_eq!(second, Place { since: at(0), after: Some("c".to_owned()), given: 2 });
        assert_eq!(second.next(&list(&[3], false), "x").unwrap(), None);
        let text = serde_json::to_string(&second).unwrap();
        assert_eq!(Place::of(&ListFrom::Cursor(text), "x").unwrap(), second);
        assert!(Place::of(&ListFrom::Cursor("?".to_owned()), "x").is_err());
    }

    #[test]
    fn where_a_search_ends_a_new_one_begins_with_its_last_time() {
        let last_page = Place { since: at(0), after: Some("b".to_owned()), given: SEARCH_MAX - 2 };
        for says_more in [true, false] {
            let next = last_page.next(&list(&[8, 9], says_more), "x").unwrap();
            assert_eq!(next, Some(Place { since: at(9), after: None, given: 0 }));
        }
        let stuck = Place { since: at(9), ..last_page };
        assert!(stuck.next(&list(&[9, 9], true), "x").is_err(), "it would begin with the same time for ever");
    }
}
