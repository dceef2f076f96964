//! Rules: parsed, checked, and applied to the facts about an order.

mod check;
mod file;
mod place;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use domain::TargetId;
use fault::{Class, Classify};

use crate::facts::OrderFacts;

/// The rules of an installation, ready to decide.
pub struct Rules {
    env: Arc<Env>,
    holds: Vec<Hold>,
    routes: Vec<Route>,
}

/// One `[[hold]]`.
struct Hold {
    name: Arc<str>,
    when: IdedExpr,
    reason: Arc<str>,
}

/// One `[[route]]`. One target today; an order that is split over several will have a list of them with a share each, and
/// whoever matches on [`Decision::Route`] will not compile until it knows.
struct Route {
    name: Arc<str>,
    when: IdedExpr,
    target: TargetId,
}

/// What the rules say about one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes to this target.
    Route { target: TargetId, rule: Arc<str> },
    /// It waits for a version that no hold matches.
    Hold { reason: Arc<str>, rule: Arc<str> },
    /// No route wants it.
    NoRoute,
}

/// Something is wrong with the rules' text. Counted from 1; a column counts characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// A rule that passed the check could not be applied to an order. It names the rule and says nothing of the order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rule `{rule}` failed on this order: {what}; make its condition hold for every order, then replay")]
pub struct EvalError {
    pub rule: Arc<str>,
    pub what: &'static str,
}

impl Classify for EvalError {
    fn class(&self) -> Class {
        Class::Validation
    }

    fn code(&self) -> &'static str {
        "rule_failed"
    }
}

impl Rules {
    /// Everything that is wrong with the text, in its order. `known_targets`: the targets of the settings.
    pub fn parse(text: &str, known_targets: &BTreeSet<TargetId>) -> Result<Self, Vec<RuleError>> {
        Self::checked(text, Some(known_targets))
    }

    /// `targets`: `None` accepts whatever is a name.
    fn checked(text: &str, targets: Option<&BTreeSet<TargetId>>) -> Result<Self, Vec<RuleError>> {
        let env = Arc::new(Env::stdlib());
        let file = file::read(text, targets, &env)?;
        Ok(Self { env, holds: file.holds, routes: file.routes })
    }

    /// The first hold that matches, else the first route that does.
    pub fn decide(&self, facts: &OrderFacts) -> Result<Decision, EvalError> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.set_variable_resolver(facts);
        for hold in &self.holds {
            if holds(&hold.name, &hold.when, &context)? {
                return Ok(Decision::Hold { reason: Arc::clone(&hold.reason), rule: Arc::clone(&hold.name) });
            }
        }
        for route in &self.routes {
            if holds(&route.name, &route.when, &context)? {
                return Ok(Decision::Route { target: route.target.clone(), rule: Arc::clone(&route.name) });
            }
        }
        Ok(Decision::NoRoute)
    }

    /// Reasons that some hold names.
    pub fn hold_reasons(&self) -> BTreeSet<&str> {
        self.holds.iter().map(|it| &*it.reason).collect()
    }

    /// Targets that some route names.
    pub fn targets(&self) -> BTreeSet<&TargetId> {
        self.routes.iter().map(|it| &it.target).collect()
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holds: Vec<_> = self.holds.iter().map(|it| &it.name).collect();
        let routes: Vec<_> = self.routes.iter().map(|it| (&it.name, &it.target)).collect();
        f.debug_struct("Rules").field("holds", &holds).field("routes", &routes).finish()
    }
}

/// What is in a file that passed the check, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedRules {
    pub holds: Vec<String>,
    /// Name and target.
    pub routes: Vec<(String, TargetId)>,
}

/// Checks a rules file by itself. Without `known_targets` any name is accepted as a target. Each line of the error is
/// `<file>:<line>:<column>: <message>`.
pub fn check_text(file_name: &str, text: &str, known_targets: Option<&BTreeSet<TargetId>>) -> Result<CheckedRules, Vec<String>> {
    let rules =
        Rules::checked(text, known_targets).map_err(|errors| errors.iter().map(|it| format!("{file_name}:{it}")).collect::<Vec<_>>())?;
    Ok(CheckedRules {
        holds: rules.holds.iter().map(|it| it.name.to_string()).collect(),
        routes: rules.routes.iter().map(|it| (it.name.to_string(), it.target.clone())).collect(),
    })
}

fn holds(rule: &Arc<str>, when: &IdedExpr, context: &Context<'_, '_>) -> Result<bool, EvalError> {
    evaluate(when, context).map_err(|what| EvalError { rule: Arc::clone(rule), what })
}

fn evaluate(when: &IdedExpr, context: &Context<'_, '_>) -> Result<bool, &'static str> {
    let value = Value::resolve_val(when, context).map_err(|error| what(&error))?;
    value.downcast_ref::<CelBool>().map(|it| *it.inner()).ok_or("it is neither true nor false")
}

/// The evaluator's own texts quote values, which may be a person's.
fn what(error: &ExecutionError) -> &'static str {
    match error {
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "it divides by zero",
        ExecutionError::Overflow(..) => "a number becomes too large",
        ExecutionError::IndexOutOfBounds(_) => "a list has fewer elements than it asks for",
        ExecutionError::FunctionError { .. } => "a function refused its argument",
        _ => "its values do not fit together",
    }
}
