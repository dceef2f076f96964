//! Whether a condition means anything: its names exist, its operands fit, and it is true or false in the end.
//!
//! The evaluator finds such things out only when an order comes that reaches them, and half a condition may never be reached.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue};
use regex::Regex;

use crate::facts::{FIELDS, Kind};

/// A mistake at a node of the expression.
pub(super) struct Mistake {
    pub(super) node: u64,
    pub(super) message: String,
}

/// All mistakes of a condition; none means that it can be evaluated.
pub(super) fn check(condition: &IdedExpr) -> Vec<Mistake> {
    if let Some(node) = below(condition, LEVELS_MAX) {
        return vec![Mistake { node, message: "the condition is nested too deep here: write several rules".to_owned() }];
    }
    let mut checker = Checker { scopes: Vec::new(), mistakes: Vec::new() };
    let found = checker.type_of(condition);
    if !found.fits(&Type::Bool) {
        checker.mistake(condition, format!("a condition is true or false, this is {}", found.name()));
    }
    checker.mistakes
}

#[derive(Debug, Clone, PartialEq)]
enum Type {
    Bool,
    Int,
    Text,
    List(Box<Type>),
    /// Follows from another mistake, or an empty list's element: nothing more is said about it.
    Any,
}

impl Type {
    fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(left), Self::List(right)) => left.fits(right),
            _ => self == other,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Bool => "a bool".to_owned(),
            Self::Int => "a whole number".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Any => "anything".to_owned(),
        }
    }

    fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool,
            Kind::Int => Self::Int,
            Kind::Text => Self::Text,
            Kind::Texts => Self::list(Self::Text),
        }
    }
}

struct Checker {
    /// Variables of macros, innermost last.
    scopes: Vec<(String, Type)>,
    mistakes: Vec<Mistake>,
}

const FUNCTIONS: [&str; 10] = ["size", "startsWith", "endsWith", "contains", "matches", "exists", "exists_one", "all", "filter", "map"];
/// Those that the parser replaces by what they stand for, if they are written as they should be.
const MACROS: [&str; 5] = ["exists", "exists_one", "all", "filter", "map"];

impl Checker {
    fn mistake(&mut self, at: &IdedExpr, message: impl Into<String>) -> Type {
        self.mistakes.push(Mistake { node: at.id, message: message.into() });
        Type::Any
    }

    fn type_of(&mut self, node: &IdedExpr) -> Type {
        match &node.expr {
            Expr::Ident(name) => self.variable(node, name),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if name == "order" && !self.is_bound(name) => {
                    let field = self.field(node, &select.field);
                    if select.test {
                        return self
                            .mistake(node, format!("`order.{}` is always there: compare it with an empty text or list", select.field));
                    }
                    field
                }
                _ => {
                    let operand = self.type_of(&select.operand);
                    if operand == Type::Any {
                        return Type::Any;
                    }
                    self.mistake(node, format!("{} has no field `{}`", operand.name(), select.field))
                }
            },
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::List(list) => {
                let mut element = Type::Any;
                for it in &list.elements {
                    let found = self.type_of(it);
                    if !found.fits(&element) {
                        self.mistake(
                            it,
                            format!("the list's other elements are {}s, this is {}", element.name().trim_start_matches("a "), found.name()),
                        );
                    }
                    if element == Type::Any {
                        element = found;
                    }
                }
                Type::list(element)
            }
            Expr::Call(call) => self.call(node, call),
            Expr::Comprehension(it) => self.comprehension(it),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => self.mistake(node, "maps and messages have no use in a rule"),
        }
    }

    fn is_bound(&self, name: &str) -> bool {
        self.scopes.iter().any(|(bound, _)| bound == name)
    }

    fn variable(&mut self, node: &IdedExpr, name: &str) -> Type {
        if let Some((_, known)) = self.scopes.iter().rev().find(|(bound, _)| bound == name) {
            return known.clone();
        }
        if name == "order" {
            return self.mistake(node, "`order` by itself is no value: use one of its fields, such as `order.country`");
        }
        self.mistake(node, format!("there is no variable `{name}`: rules know `order` only; a text needs quotes"))
    }

    fn field(&mut self, node: &IdedExpr, name: &str) -> Type {
        if let Some((_, kind)) = FIELDS.iter().find(|(known, _)| *known == name) {
            return (*kind).into();
        }
        let known: Vec<_> = FIELDS.iter().map(|it| it.0).collect();
        let near = known.iter().min_by_key(|it| distance(it, name)).filter(|it| distance(it, name) <= 2);
        let hint = near.map_or_else(|| format!("an order has {}", known.join(", ")), |it| format!("did you mean `order.{it}`?"));
        self.mistake(node, format!("there is no field `order.{name}`: {hint}"))
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Type {
        match literal {
            LiteralValue::Boolean(_) => Type::Bool,
            LiteralValue::Int(_) => Type::Int,
            LiteralValue::String(_) => Type::Text,
            LiteralValue::Double(_) => {
                self.mistake(node, "fractions have no use in a rule: `order.total` is a whole number of the currency's smallest unit")
            }
            LiteralValue::UInt(_) | LiteralValue::Bytes(_) | LiteralValue::Null => {
                self.mistake(node, "no field of an order has a value of this kind: use texts, whole numbers, true and false")
            }
        }
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Type {
        let name = call.func_name.as_str();
        let is_known = FUNCTIONS.contains(&name) || !name.starts_with(|it: char| it.is_alphabetic());
        if !is_known {
            // What its arguments mean is unknown as well.
            return self.mistake(node, format!("there is no function `{name}`: rules have {}", FUNCTIONS.join(", ")));
        }
        if MACROS.contains(&name) {
            return self.mistake(node, format!("write it on a list, with a name for the element: `order.skus.{name}(sku, ...)`"));
        }
        // `a.f(b)` and `f(a, b)` are the same call.
        let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let types: Vec<Type> = operands.iter().map(|it| self.type_of(it)).collect();
        match (name, operands.as_slice(), types.as_slice()) {
            ("_&&_" | "_||_", ..) => self.all(&operands, &types, &Type::Bool, Type::Bool),
            ("!_" | "@not_strictly_false", ..) => self.all(&operands, &types, &Type::Bool, Type::Bool),
            ("_==_" | "_!=_", [_, right], [a, b]) => {
                if !a.fits(b) {
                    self.mistake(right, format!("{} never equals {}", a.name(), b.name()));
                }
                Type::Bool
            }
            ("_<_" | "_<=_" | "_>_" | "_>=_", _, [a, b]) => {
                let ordered = if [a, b].contains(&&Type::Text) { Type::Text } else { Type::Int };
                self.all(&operands, &types, &ordered, Type::Bool)
            }
            // Lists and texts can be joined.
            ("_+_", _, [Type::List(a), b @ Type::List(_)]) if **a == Type::Any => b.clone(),
            ("_+_", _, [found @ (Type::List(_) | Type::Text), _]) => {
                let found = found.clone();
                self.all(&operands, &types, &found, found.clone())
            }
            ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [_, _], _) => self.all(&operands, &types, &Type::Int, Type::Int),
            ("-_", [_], _) => self.all(&operands, &types, &Type::Int, Type::Int),
            ("@in", [_, list], [element, of]) => {
                if !of.fits(&Type::list(Type::Any)) {
                    self.mistake(list, format!("`in` needs a list on its right, this is {}", of.name()));
                } else if !of.fits(&Type::list(element.clone())) {
                    self.mistake(list, format!("no element of this list is {}", element.name()));
                }
                Type::Bool
            }
            ("_?_:_", [condition, _, otherwise], [test, a, b]) => {
                if !test.fits(&Type::Bool) {
                    self.mistake(condition, format!("`?` needs a bool before it, this is {}", test.name()));
                }
                if !a.fits(b) {
                    self.mistake(otherwise, format!("both sides of `:` must be of one kind, these are {} and {}", a.name(), b.name()));
                }
                a.clone()
            }
            ("_[_]", [list, index], [of, at]) => {
                if !at.fits(&Type::Int) {
                    self.mistake(index, format!("a list is indexed by a whole number, this is {}", at.name()));
                }
                match of {
                    Type::List(element) => (**element).clone(),
                    Type::Any => Type::Any,
                    other => self.mistake(list, format!("only a list has an index, this is {}", other.name())),
                }
            }
            ("size", [of], [found]) => {
                if matches!(found, Type::Bool | Type::Int) {
                    self.mistake(of, format!("`size` needs a text or a list, this is {}", found.name()));
                }
                Type::Int
            }
            ("startsWith" | "endsWith" | "contains", [_, _], _) => self.all(&operands, &types, &Type::Text, Type::Bool),
            ("matches", [_, pattern], _) => {
                self.pattern(pattern);
                self.all(&operands, &types, &Type::Text, Type::Bool)
            }
            ("size" | "startsWith" | "endsWith" | "contains" | "matches", ..) => {
                self.mistake(node, format!("`{name}` got the wrong number of values"))
            }
            (name, ..) => self.mistake(node, format!("the operator `{name}` has no use in a rule")),
        }
    }

    /// The evaluator looks at it when the first order reaches it, and could fail on some order.
    fn pattern(&mut self, pattern: &IdedExpr) {
        let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
            self.mistake(pattern, "`matches` needs its pattern as a text in quotes");
            return;
        };
        if let Err(error) = Regex::new(text.inner()) {
            // Its last line says what; those before draw where.
            let error = error.to_string();
            let what = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            self.mistake(pattern, format!("this is no pattern: {what}"));
        }
    }

    /// All operands must be of one type; `result` is what comes out.
    fn all(&mut self, operands: &[&IdedExpr], types: &[Type], wanted: &Type, result: Type) -> Type {
        for (operand, found) in operands.iter().zip(types) {
            if !found.fits(wanted) {
                self.mistake(operand, format!("this must be {}, and is {}", wanted.name(), found.name()));
            }
        }
        result
    }

    /// What a macro was expanded to: a loop over a list with an accumulator.
    fn comprehension(&mut self, it: &ComprehensionExpr) -> Type {
        let element = match self.type_of(&it.iter_range) {
            Type::List(element) => *element,
            Type::Any => Type::Any,
            other => self.mistake(&it.iter_range, format!("only a list can be searched, this is {}", other.name())),
        };
        let start = self.type_of(&it.accu_init);
        let depth = self.scopes.len();
        self.scopes.push((it.iter_var.clone(), element));
        self.scopes.push((it.accu_var.clone(), start));
        self.type_of(&it.loop_cond);
        let step = self.type_of(&it.loop_step);
        // A list is built from an empty one: only the step knows of what.
        self.scopes[depth + 1].1 = step;
        let result = self.type_of(&it.result);
        self.scopes.truncate(depth);
        result
    }
}

/// Evaluation calls itself for each level, on a stack that others gave it.
const LEVELS_MAX: usize = 64;

/// A node that is more than `levels` below this one.
fn below(node: &IdedExpr, levels: usize) -> Option<u64> {
    let Some(levels) = levels.checked_sub(1) else { return Some(node.id) };
    match &node.expr {
        Expr::Select(select) => below(&select.operand, levels),
        Expr::List(list) => list.elements.iter().find_map(|it| below(it, levels)),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).find_map(|it| below(it, levels)),
        Expr::Comprehension(it) => {
            [&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result].into_iter().find_map(|it| below(it, levels))
        }
        // Refused as such, whatever is in them.
        Expr::Map(_) | Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => None,
    }
}

/// Edits between two names.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}
