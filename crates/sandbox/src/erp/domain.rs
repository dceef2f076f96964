//! Tryton's search domains: `["OR", [field, operator, value], [...]]`.

use std::cmp::Ordering;

use serde_json::Value;

use super::cell::Cell;
use super::fail::Fail;
use super::fields::Scope;
use super::model::Model;
use super::world::World;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Domain {
    All(Vec<Domain>),
    Any(Vec<Domain>),
    Test(Test),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    /// `lines.product.code`, in its parts.
    pub(super) path: Vec<String>,
    pub(super) operator: Operator,
    pub(super) value: Operand,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    One(Cell),
    Many(Vec<Cell>),
    /// Of `where`: what the record at the path has to fulfil.
    Domain(Box<Domain>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
    In,
    NotIn,
    Like { any_case: bool },
    NotLike { any_case: bool },
    Where,
    NotWhere,
    ChildOf,
}

impl Operator {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "=" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::AtMost,
            ">" => Self::More,
            ">=" => Self::AtLeast,
            "in" => Self::In,
            "not in" => Self::NotIn,
            "like" => Self::Like { any_case: false },
            "ilike" => Self::Like { any_case: true },
            "not like" => Self::NotLike { any_case: false },
            "not ilike" => Self::NotLike { any_case: true },
            "where" => Self::Where,
            "not where" => Self::NotWhere,
            "child_of" => Self::ChildOf,
            _ => return None,
        })
    }
}

impl Domain {
    pub(super) fn parse(value: &Value) -> Result<Self, Fail> {
        let parts = value.as_array().ok_or_else(|| invalid(value))?;
        if let Some(test) = Test::parse(parts)? {
            return Ok(Self::Test(test));
        }
        let (any, parts) = match parts.first().and_then(Value::as_str) {
            Some("OR") => (true, &parts[1..]),
            Some("AND") => (false, &parts[1..]),
            _ => (false, &parts[..]),
        };
        let parts = parts.iter().map(Self::parse).collect::<Result<_, _>>()?;
        Ok(if any { Self::Any(parts) } else { Self::All(parts) })
    }

    /// Does the record fulfil it?
    pub(super) fn holds(&self, world: &World, model: Model, id: i64, scope: &Scope) -> Result<bool, Fail> {
        match self {
            Self::All(parts) => {
                for part in parts {
                    if !part.holds(world, model, id, scope)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(parts) => {
                for part in parts {
                    if part.holds(world, model, id, scope)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Test(test) => test.holds(world, &Cell::One(model, id), &test.path, scope),
        }
    }
}

fn invalid(value: &Value) -> Fail {
    Fail::Exception(format!("invalid domain {value}"))
}

impl Test {
    fn parse(parts: &[Value]) -> Result<Option<Self>, Fail> {
        let [field, operator, value, ..] = parts else { return Ok(None) };
        let (Some(field), Some(operator)) = (field.as_str(), operator.as_str().and_then(Operator::of)) else { return Ok(None) };
        let operand = match (operator, value) {
            (Operator::Where | Operator::NotWhere, domain) => Operand::Domain(Box::new(Domain::parse(domain)?)),
            (_, Value::Array(values)) => {
                let cells = values.iter().map(|it| Cell::of_wire(it).ok_or_else(|| invalid(it)));
                Operand::Many(cells.collect::<Result<_, _>>()?)
            }
            (_, value) => Operand::One(Cell::of_wire(value).ok_or_else(|| invalid(value))?),
        };
        Ok(Some(Self { path: field.split('.').map(str::to_owned).collect(), operator, value: operand }))
    }

    /// Follows the path; of several records at its end one is enough.
    fn holds(&self, world: &World, at: &Cell, path: &[String], scope: &Scope) -> Result<bool, Fail> {
        let Some((field, rest)) = path.split_first() else { return self.accepts(world, at, scope) };
        let (model, ids) = match at {
            Cell::One(model, id) | Cell::Reference(model, id) => (*model, std::slice::from_ref(id)),
            Cell::Many(model, ids) => (*model, ids.as_slice()),
            _ => return Ok(self.fits_nothing()),
        };
        for id in ids {
            let next = world.get(model, *id, field, scope)?;
            if self.holds(world, &next, rest, scope)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A path that ends early holds as if its value were null.
    fn fits_nothing(&self) -> bool {
        match (&self.operator, &self.value) {
            (Operator::Equal, Operand::One(Cell::Null)) => true,
            (Operator::NotEqual, Operand::One(value)) => *value != Cell::Null,
            (Operator::NotIn | Operator::NotWhere, _) => true,
            _ => false,
        }
    }

    fn accepts(&self, world: &World, cell: &Cell, scope: &Scope) -> Result<bool, Fail> {
        if let (Operator::Where | Operator::NotWhere, Operand::Domain(domain)) = (self.operator, &self.value) {
            let found = related_holds(world, cell, domain, scope)?;
            return Ok(found == (self.operator == Operator::Where));
        }
        // Of a list of records one is enough.
        if let Cell::Many(model, ids) = cell {
            if ids.is_empty() {
                return Ok(self.fits_nothing());
            }
            return Ok(ids.iter().any(|id| self.accepts_one(world, &Cell::One(*model, *id))));
        }
        Ok(self.accepts_one(world, cell))
    }

    fn accepts_one(&self, world: &World, cell: &Cell) -> bool {
        match &self.value {
            Operand::One(value) => match self.operator {
                Operator::Equal => equal(cell, value),
                Operator::NotEqual => !equal(cell, value),
                Operator::Less => cell.compare(value) == Some(Ordering::Less),
                Operator::AtMost => matches!(cell.compare(value), Some(Ordering::Less | Ordering::Equal)),
                Operator::More => cell.compare(value) == Some(Ordering::Greater),
                Operator::AtLeast => matches!(cell.compare(value), Some(Ordering::Greater | Ordering::Equal)),
                Operator::Like { any_case } => like(cell, value, any_case),
                Operator::NotLike { any_case } => !like(cell, value, any_case),
                Operator::ChildOf => is_child(world, cell, std::slice::from_ref(value)),
                Operator::In | Operator::NotIn | Operator::Where | Operator::NotWhere => false,
            },
            Operand::Many(values) => match self.operator {
                Operator::In => values.iter().any(|it| equal(cell, it)),
                Operator::NotIn => !values.iter().any(|it| equal(cell, it)),
                Operator::ChildOf => is_child(world, cell, values),
                _ => false,
            },
            Operand::Domain(_) => false,
        }
    }
}

fn related_holds(world: &World, cell: &Cell, domain: &Domain, scope: &Scope) -> Result<bool, Fail> {
    let (model, ids) = match cell {
        Cell::One(model, id) | Cell::Reference(model, id) => (*model, std::slice::from_ref(id)),
        Cell::Many(model, ids) => (*model, ids.as_slice()),
        _ => return Ok(false),
    };
    for id in ids {
        if domain.holds(world, model, *id, scope)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(cell: &Cell, value: &Cell) -> bool {
    match (cell, value) {
        (Cell::Null, Cell::Null) => true,
        // An unset check box and an empty text are as good as null.
        (Cell::Null, Cell::Bool(value)) => !value,
        _ => cell.compare(value) == Some(Ordering::Equal),
    }
}

fn like(cell: &Cell, pattern: &Cell, any_case: bool) -> bool {
    let text = match cell {
        Cell::Text(text) => text.clone(),
        Cell::Reference(model, id) => format!("{},{id}", model.name()),
        _ => return false,
    };
    let Cell::Text(pattern) = pattern else { return false };
    if any_case { matches(&pattern.to_lowercase(), &text.to_lowercase()) } else { matches(pattern, &text) }
}

/// `%` stands for any text, `_` for one character, `\` takes the meaning from what follows it.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    match pattern_rest.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = pattern_rest.as_str();
            let tails = text.char_indices().map(|(at, _)| &text[at..]);
            tails.chain([""]).any(|tail| matches(rest, tail))
        }
        Some(first) => {
            let expected = match first {
                '_' => None,
                '\\' => pattern_rest.next(),
                other => Some(other),
            };
            let mut text = text.chars();
            text.next().is_some_and(|it| expected.is_none_or(|expected| it == expected)) && matches(pattern_rest.as_str(), text.as_str())
        }
    }
}

/// The one text that a pattern without wildcards stands for.
pub(super) fn literal(pattern: &str) -> Option<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(next) = rest.next() {
        match next {
            '%' | '_' => return None,
            '\\' => text.push(rest.next()?),
            other => text.push(other),
        }
    }
    Some(text)
}

fn is_child(world: &World, cell: &Cell, of: &[Cell]) -> bool {
    let of: Vec<i64> = of.iter().filter_map(|it| if let Cell::Int(id) = it { Some(*id) } else { None }).collect();
    match cell {
        Cell::One(Model::Location, id) => world.is_within(*id, &of),
        Cell::One(_, id) => of.contains(id),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_are_sql_patterns() {
        for (pattern, text, expected) in [
            ("ada@example.com", "ada@example.com", true),
            ("a_a%", "ada@example.com", true),
            ("%example%", "ada@example.com", true),
            ("%.org", "ada@example.com", false),
            (r"a\_a%", "ada@example.com", false),
            (r"100\%", "100%", true),
            ("%", "", true),
            ("_", "", false),
            ("é%", "été", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
        assert_eq!(literal(r"ada\_l@example.com").as_deref(), Some("ada_l@example.com"));
        assert_eq!(literal("ada%"), None);
    }

    #[test]
    fn lists_of_clauses_are_told_from_clauses() {
        let test = |field: &str, value| {
            Domain::Test(Test { path: vec![field.into()], operator: Operator::Equal, value: Operand::One(Cell::Int(value)) })
        };
        for (wire, expected) in [
            (json!([]), Domain::All(vec![])),
            (json!(["id", "=", 1]), test("id", 1)),
            (json!([["id", "=", 1], ["party", "=", 2]]), Domain::All(vec![test("id", 1), test("party", 2)])),
            (json!(["OR", ["id", "=", 1], [["id", "=", 2]]]), Domain::Any(vec![test("id", 1), Domain::All(vec![test("id", 2)])])),
        ] {
            assert_eq!(Domain::parse(&wire).unwrap(), expected, "{wire}");
        }
        assert!(Domain::parse(&json!("id")).is_err());
        assert!(Domain::parse(&json!([["id", "=", {"what": 1}]])).is_err());
    }
}
