//! Variables, arguments, and the flattening of fragments: from a document to the fields that were asked for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::GraphqlError;
use super::parse::{Document, Field, Literal, Operation, Selection};

/// Deeper than any honest query; keeps a fragment that spreads itself from going on for ever.
const DEPTH_MAX: usize = 24;

/// An operation with its variables, ready to be carried out.
#[derive(Debug)]
pub(super) struct Request<'a> {
    document: &'a Document,
    pub(super) operation: &'a Operation,
    variables: BTreeMap<String, Value>,
}

impl<'a> Request<'a> {
    pub(super) fn new(document: &'a Document, name: Option<&str>, given: &Map<String, Value>) -> Result<Self, GraphqlError> {
        let operation = match name {
            Some(name) => document.operations.iter().find(|it| it.name.as_deref() == Some(name)),
            None if document.operations.len() == 1 => document.operations.first(),
            None => None,
        };
        let operation = operation.ok_or_else(|| GraphqlError::new("operationName", "no operation of that name; name one"))?;
        let mut request = Self { document, operation, variables: BTreeMap::new() };
        for variable in &operation.variables {
            let value = match (given.get(&variable.name), &variable.default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => Some(request.value(default)?),
                (None, None) => None,
            };
            let is_missing = value.as_ref().is_none_or(Value::is_null);
            if is_missing && variable.kind.ends_with('!') {
                let message = format!("variable ${} of type {} was not given", variable.name, variable.kind);
                return Err(GraphqlError::new("INVALID_VARIABLE", message));
            }
            if let Some(value) = value {
                request.variables.insert(variable.name.clone(), value);
            }
        }
        Ok(request)
    }

    /// The fields of a selection on a value of a type, fragments unfolded, `@skip` and `@include` obeyed.
    pub(super) fn fields(&self, selections: &'a [Selection], typename: &str) -> Result<Vec<&'a Field>, GraphqlError> {
        let mut fields = Vec::new();
        self.unfold(selections, Some(typename), 0, &mut fields)?;
        Ok(fields)
    }

    /// The fields of a spread fragment, whatever the type.
    pub(super) fn spread_fields(&self, spread: &Selection) -> Result<Vec<&'a Field>, GraphqlError> {
        let Selection::Spread(name) = spread else { return Ok(Vec::new()) };
        let mut fields = Vec::new();
        self.unfold_named(name, None, 0, &mut fields)?;
        Ok(fields)
    }

    fn unfold(
        &self,
        selections: &'a [Selection],
        typename: Option<&str>,
        depth: usize,
        into: &mut Vec<&'a Field>,
    ) -> Result<(), GraphqlError> {
        if depth > DEPTH_MAX {
            return Err(GraphqlError::new("undefinedFragment", "fragments are nested too deep"));
        }
        for selection in selections {
            match selection {
                Selection::Field(field) if self.is_wanted(field)? => into.push(field),
                Selection::Field(_) => {}
                Selection::Spread(name) => self.unfold_named(name, typename, depth, into)?,
                Selection::Inline { on, selections } => {
                    let fits = |on: &String| typename.is_none_or(|typename| is_a(typename, on));
                    if on.as_ref().is_none_or(fits) {
                        self.unfold(selections, typename, depth + 1, into)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn unfold_named(&self, name: &str, typename: Option<&str>, depth: usize, into: &mut Vec<&'a Field>) -> Result<(), GraphqlError> {
        let fragment = self.document.fragments.get(name);
        let fragment = fragment.ok_or_else(|| GraphqlError::new("undefinedFragment", format!("no fragment {name}")))?;
        self.unfold(fragment, typename, depth + 1, into)
    }

    fn is_wanted(&self, field: &Field) -> Result<bool, GraphqlError> {
        for directive in &field.directives {
            let condition = directive.arguments.iter().find(|it| it.0 == "if");
            let Some((_, condition)) = condition else { continue };
            let holds = self.value(condition)? == Value::Bool(true);
            match directive.name.as_str() {
                "skip" if holds => return Ok(false),
                "include" if !holds => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }

    pub(super) fn arguments(&self, of: &[(String, Literal)]) -> Result<Map<String, Value>, GraphqlError> {
        let mut arguments = Map::new();
        for (name, literal) in of {
            // A variable that was not given is as if the argument were not there.
            if matches!(literal, Literal::Variable(it) if self.is_declared(it) && !self.variables.contains_key(it)) {
                continue;
            }
            arguments.insert(name.clone(), self.value(literal)?);
        }
        Ok(arguments)
    }

    fn is_declared(&self, name: &str) -> bool {
        self.operation.variables.iter().any(|it| it.name == name)
    }

    fn value(&self, literal: &Literal) -> Result<Value, GraphqlError> {
        match literal {
            Literal::Plain(value) => Ok(value.clone()),
            Literal::Variable(name) => match self.variables.get(name) {
                Some(value) => Ok(value.clone()),
                None if self.is_declared(name) => Ok(Value::Null),
                None => Err(GraphqlError::new("undefinedVariable", format!("variable ${name} is not declared"))),
            },
            Literal::List(items) => items.iter().map(|it| self.value(it)).collect(),
            Literal::Object(fields) => Ok(Value::Object(self.arguments(fields)?)),
        }
    }
}

/// Whether a value of a type fits a fragment on that or another type.
fn is_a(typename: &str, on: &str) -> bool {
    typename == on
        || match on {
            "Node" | "QueryRoot" | "Mutation" => true,
            "DiscountApplication" => typename.ends_with("DiscountApplication") || typename == "DiscountCodeApplication",
            "PricingValue" => matches!(typename, "MoneyV2" | "PricingPercentageValue"),
            "PurchasingEntity" => matches!(typename, "Customer" | "PurchasingCompany"),
            "PaymentDetails" => typename.ends_with("PaymentDetails"),
            "WebhookSubscriptionEndpoint" => typename == "WebhookHttpEndpoint",
            "UserError" | "DisplayableError" => typename.ends_with("UserError"),
            _ => false,
        }
}
