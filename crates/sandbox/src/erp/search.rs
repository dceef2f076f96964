//! Finds records: by an index where one fits, else by looking at all of them.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::cell::Cell;
use super::domain::{Domain, Operand, Operator, Test, literal};
use super::fail::Fail;
use super::fields::Scope;
use super::model::Model;
use super::settings::Dedupe;
use super::world::World;

/// A page of a search, as callers ask for it.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) limit: Option<usize>,
    pub(super) order: Vec<(Vec<String>, Direction)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Direction {
    descending: bool,
    nulls_first: bool,
}

impl Page {
    pub(super) fn parse(offset: &Value, limit: &Value, order: &Value) -> Result<Self, Fail> {
        let size = |it: &Value| it.as_u64().and_then(|it| usize::try_from(it).ok());
        let order = match order {
            Value::Array(parts) => parts.iter().map(order_part).collect::<Option<_>>(),
            _ => Some(Vec::new()),
        };
        Ok(Self {
            offset: size(offset).unwrap_or(0),
            limit: size(limit),
            order: order.ok_or_else(|| Fail::Exception("invalid order".to_owned()))?,
        })
    }
}

fn order_part(part: &Value) -> Option<(Vec<String>, Direction)> {
    let path = part.get(0)?.as_str()?.split('.').map(str::to_owned).collect();
    let text = part.get(1).and_then(Value::as_str).unwrap_or("ASC").to_uppercase();
    let descending = text.starts_with("DESC");
    // Without a word about them, NULLs are the largest values.
    let nulls_first = if text.contains("NULLS") { text.ends_with("FIRST") } else { descending };
    Some((path, Direction { descending, nulls_first }))
}

impl World {
    pub(super) fn search(&self, model: Model, domain: &Domain, page: &Page, scope: &Scope) -> Result<Vec<i64>, Fail> {
        let mut found = Vec::new();
        for id in self.candidates(model, domain).unwrap_or_else(|| self.ids(model)) {
            if self.is_visible(model, id, domain) && domain.holds(self, model, id, scope)? {
                found.push(id);
            }
        }
        self.sort(model, &mut found, page, scope)?;
        let page = found.into_iter().skip(page.offset).take(page.limit.unwrap_or(usize::MAX));
        Ok(page.collect())
    }

    /// Products that are not active show only to those who ask for `active`; sales hide as the settings say.
    fn is_visible(&self, model: Model, id: i64, domain: &Domain) -> bool {
        match model {
            Model::Product => self.products.row(id).active || names(domain, "active"),
            Model::Sale if names(domain, "web_id") => match self.conduct.dedupe {
                Dedupe::Off => false,
                Dedupe::On | Dedupe::LookupOnly => {
                    let lag = self.conduct.lookup_lag;
                    lag.is_zero() || self.sales.stamps(id).is_some_and(|it| it.created + lag <= self.now)
                }
            },
            _ => true,
        }
    }

    fn sort(&self, model: Model, ids: &mut [i64], page: &Page, scope: &Scope) -> Result<(), Fail> {
        let default = default_order(model);
        let order = if page.order.is_empty() { &default } else { &page.order };
        let mut keyed = Vec::with_capacity(ids.len());
        for id in ids.iter() {
            let keys = order.iter().map(|(path, _)| self.at(model, *id, path, scope)).collect::<Result<Vec<_>, _>>()?;
            keyed.push((keys, *id));
        }
        keyed.sort_by(|(a, _), (b, _)| {
            let compared = a.iter().zip(b).zip(order).map(|((a, b), (_, direction))| compare(a, b, *direction));
            compared.into_iter().find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
        });
        for (place, (_, id)) in ids.iter_mut().zip(keyed) {
            *place = id;
        }
        Ok(())
    }

    fn at(&self, model: Model, id: i64, path: &[String], scope: &Scope) -> Result<Cell, Fail> {
        let mut cell = Cell::One(model, id);
        for field in path {
            cell = match cell {
                Cell::One(model, id) | Cell::Reference(model, id) => self.get(model, id, field, scope)?,
                _ => return Ok(Cell::Null),
            };
        }
        Ok(cell)
    }

    /// Ids among which all matching ones are; `None` where only looking at all rows can tell.
    fn candidates(&self, model: Model, domain: &Domain) -> Option<Vec<i64>> {
        match domain {
            Domain::All(parts) => {
                if model == Model::Move
                    && let Some(open) = self.open_moves(parts)
                {
                    return Some(open);
                }
                // The narrowest is the best, and narrow ones cost little to find.
                parts.iter().filter_map(|it| self.candidates(model, it)).min_by_key(Vec::len)
            }
            Domain::Any(parts) => {
                let parts = parts.iter().map(|it| self.candidates(model, it)).collect::<Option<Vec<_>>>()?;
                Some(parts.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect())
            }
            Domain::Test(test) => self.by_test(model, test),
        }
    }

    /// Open moves of some products.
    fn open_moves(&self, parts: &[Domain]) -> Option<Vec<i64>> {
        let tests = || parts.iter().filter_map(|it| if let Domain::Test(test) = it { Some(test) } else { None });
        let is_open = |text: &str| matches!(text, "draft" | "assigned");
        tests().find(|it| it.path == ["state"] && texts(it).is_some_and(|it| !it.is_empty() && it.iter().all(|it| is_open(it))))?;
        let products = match tests().find(|it| it.path == ["product"]) {
            Some(test) => ids(test)?,
            None => self.products.ids().collect(),
        };
        let moves: BTreeSet<_> = products.into_iter().flat_map(|it| self.moves.index.open.get(&it)).collect();
        Some(moves.into_iter().collect())
    }

    fn by_test(&self, model: Model, test: &Test) -> Option<Vec<i64>> {
        let path: Vec<&str> = test.path.iter().map(String::as_str).collect();
        if let ["last_modified_at"] = path[..] {
            return self.modified_since(model, lower_bound(test)?);
        }
        if let ["id"] = path[..] {
            return Some(ids(test)?.into_iter().filter(|id| self.has(model, *id)).collect());
        }
        let each = |find: &dyn Fn(&str) -> Vec<i64>| Some(texts(test)?.into_iter().flat_map(find).collect());
        match (model, &path[..]) {
            (Model::Sale, ["web_id"]) => each(&|it| self.sales.index.by_web_id.get(it)),
            (Model::Sale, ["number"]) => each(&|it| self.sales.index.by_number.get(it)),
            (Model::Sale, ["origin"]) => each(&|it| reference(it).map(|it| self.sales.index.by_origin.get(&it)).unwrap_or_default()),
            (Model::SaleLine, ["sale"]) => Some(ids(test)?.into_iter().flat_map(|it| self.lines_of(it)).collect()),
            (Model::Product, ["code"]) => each(&|it| self.products.index.get(it)),
            (Model::Party, ["code"]) => each(&|it| self.parties.index.get(it)),
            (Model::Party, ["identifiers", "code"]) => {
                each(&|it| self.identifiers.index.by_code.get(it).into_iter().map(|it| self.identifiers.row(it).party).collect())
            }
            (Model::Party, ["contact_mechanisms", "value"]) => self.parties_by_contact(test),
            (Model::Party, ["contact_mechanisms"]) => match &test.value {
                Operand::Domain(domain) if test.operator == Operator::Where => {
                    let Domain::All(parts) = &**domain else { return None };
                    parts.iter().find_map(|it| match it {
                        Domain::Test(test) if test.path == ["value"] => self.parties_by_contact(test),
                        _ => None,
                    })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn parties_by_contact(&self, test: &Test) -> Option<Vec<i64>> {
        let value = match (test.operator, &test.value) {
            (Operator::Equal, Operand::One(Cell::Text(text))) => text.clone(),
            (Operator::Like { .. }, Operand::One(Cell::Text(pattern))) => literal(pattern)?,
            _ => return None,
        };
        let contacts = self.contacts.index.by_value.get(value.to_lowercase().as_str());
        let parties: BTreeSet<_> = contacts.into_iter().map(|it| self.contacts.row(it).party).collect();
        Some(parties.into_iter().collect())
    }
}

/// Does the domain ask for the field?
fn names(domain: &Domain, field: &str) -> bool {
    match domain {
        Domain::All(parts) | Domain::Any(parts) => parts.iter().any(|it| names(it, field)),
        Domain::Test(test) => test.path == [field],
    }
}

fn cells(test: &Test) -> Option<Vec<&Cell>> {
    match (test.operator, &test.value) {
        (Operator::Equal, Operand::One(cell)) => Some(vec![cell]),
        (Operator::In, Operand::Many(cells)) => Some(cells.iter().collect()),
        _ => None,
    }
}

fn texts(test: &Test) -> Option<Vec<&str>> {
    cells(test)?.into_iter().map(|it| if let Cell::Text(text) = it { Some(text.as_str()) } else { None }).collect()
}

fn ids(test: &Test) -> Option<Vec<i64>> {
    let ids: Option<BTreeSet<_>> = cells(test)?.into_iter().map(|it| if let Cell::Int(id) = it { Some(*id) } else { None }).collect();
    Some(ids?.into_iter().collect())
}

fn lower_bound(test: &Test) -> Option<DateTime<Utc>> {
    match (test.operator, &test.value) {
        (Operator::AtLeast | Operator::More | Operator::Equal, Operand::One(Cell::Time(time))) => Some(*time),
        _ => None,
    }
}

pub(super) fn reference(text: &str) -> Option<(Model, i64)> {
    let (model, id) = text.split_once(',')?;
    Some((Model::of_name(model)?, id.parse().ok()?))
}

fn default_order(model: Model) -> Vec<(Vec<String>, Direction)> {
    let by = |field: &str, descending| (vec![field.to_owned()], Direction { descending, nulls_first: descending });
    match model {
        Model::Product => vec![by("code", false), by("id", false)],
        Model::Sale => vec![by("sale_date", true), by("id", true)],
        Model::Move | Model::Invoice | Model::Shipment | Model::Return => vec![by("id", true)],
        _ => vec![by("id", false)],
    }
}

fn compare(a: &Cell, b: &Cell, direction: Direction) -> Ordering {
    let nulls = if direction.nulls_first { Ordering::Less } else { Ordering::Greater };
    match (a, b) {
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => nulls,
        (_, Cell::Null) => nulls.reverse(),
        _ => {
            let order = a.compare(b).unwrap_or(Ordering::Equal);
            if direction.descending { order.reverse() } else { order }
        }
    }
}
