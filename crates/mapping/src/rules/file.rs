//! The file: TOML with places, every mistake in it reported at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use cel::{Context, Env};
use domain::TargetId;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::check;
use super::place::{Quoted, line_column};
use super::{Hold, Route, RuleError, evaluate};
use crate::facts::OrderFacts;

pub(super) struct File {
    pub(super) holds: Vec<Hold>,
    pub(super) routes: Vec<Route>,
}

/// Reads the whole file, or says everything that is wrong with it, first line first.
///
/// The expression parser calls itself for each level of an expression, and so does whatever walks over its tree or drops it.
/// That happens on a stack of its own, large enough for the longest condition that is accepted; what is as deep as to endanger
/// the stack of those who evaluate it does not get out of here.
pub(super) fn read(text: &str, targets: Option<&BTreeSet<TargetId>>, env: &Arc<Env>) -> Result<File, Vec<RuleError>> {
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("rules".to_owned()).stack_size(STACK_BYTES);
        let reading = reader.spawn_scoped(scope, || read_here(text, targets, env)).expect("a process that starts has a thread to spare");
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read_here(text: &str, targets: Option<&BTreeSet<TargetId>>, env: &Arc<Env>) -> Result<File, Vec<RuleError>> {
    let mut reader = Reader { text, targets, env, names: BTreeMap::new(), errors: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reader.error(error.span().unwrap_or_default(), error.message());
    }
    // What the parser made of broken text is not what was meant: complaints about it would mislead.
    let file = if reader.errors.is_empty() { reader.document(document.get_ref()) } else { File { holds: Vec::new(), routes: Vec::new() } };
    let mut errors = reader.errors;
    if errors.is_empty() {
        return Ok(file);
    }
    errors.sort_by_key(|it| (it.line, it.column));
    Err(errors)
}

struct Reader<'a> {
    text: &'a str,
    targets: Option<&'a BTreeSet<TargetId>>,
    env: &'a Arc<Env>,
    /// Rule by name, with its line.
    names: BTreeMap<String, usize>,
    errors: Vec<RuleError>,
}

/// A value with its place.
type Value<'v, 'i> = &'v Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn error(&mut self, span: Range<usize>, message: impl Into<String>) {
        let (line, column) = line_column(self.text, span.start);
        // One line per mistake; the TOML parser's texts may have several.
        let message = message.into().replace('\n', "; ");
        self.errors.push(RuleError { line, column, message });
    }

    fn document(&mut self, document: &DeTable<'_>) -> File {
        let (mut holds, mut routes) = (Vec::new(), Vec::new());
        for (key, value) in document {
            match &**key.get_ref() {
                "hold" => self.rules(value, |it, table| holds.extend(it.hold(table))),
                "route" => self.rules(value, |it, table| routes.extend(it.route(table))),
                other => self.error(key.span(), format!("there is no table `{other}`: a rules file has [[hold]] and [[route]]")),
            }
        }
        if routes.is_empty() && self.errors.is_empty() {
            self.error(0..0, "there is no [[route]]: every order would become a letter");
        }
        File { holds, routes }
    }

    fn rules(&mut self, value: Value<'_, '_>, mut each: impl FnMut(&mut Self, &Spanned<DeValue<'_>>)) {
        let Some(tables) = value.get_ref().as_array() else {
            return self.error(value.span(), "write it with double brackets, [[hold]] or [[route]]: there may be several");
        };
        for table in tables.iter() {
            each(self, table);
        }
    }

    fn hold(&mut self, table: Value<'_, '_>) -> Option<Hold> {
        let [name, when, reason] = self.texts(table, ["name", "when", "reason"])?;
        let name = self.name(name);
        let when = self.condition(when);
        let reason_text = reason.get_ref().as_str().unwrap_or_default();
        let is_reason = (1..=48).contains(&reason_text.len())
            && reason_text.starts_with(|it: char| it.is_ascii_lowercase())
            && reason_text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_');
        if !is_reason {
            // It is shown in the account and counted by metrics.
            self.error(
                reason.span(),
                format!("`{reason_text}` is not usable as a reason: use 1 to 48 of a-z, 0-9 and _, starting with a letter"),
            );
            return None;
        }
        Some(Hold { name: name?, when: when?, reason: reason_text.into() })
    }

    fn route(&mut self, table: Value<'_, '_>) -> Option<Route> {
        let [name, when, target] = self.texts(table, ["name", "when", "target"])?;
        let name = self.name(name);
        let when = self.condition(when);
        let target = self.target(target);
        Some(Route { name: name?, when: when?, target: target? })
    }

    /// The table's texts under these keys; other keys, missing ones and other kinds of values are mistakes.
    fn texts<'v, 'i>(&mut self, table: Value<'v, 'i>, keys: [&str; 3]) -> Option<[Value<'v, 'i>; 3]> {
        let Some(entries) = table.get_ref().as_table() else {
            self.error(table.span(), "a rule is a table with double brackets, [[hold]] or [[route]]");
            return None;
        };
        for (key, _) in entries {
            let name: &str = key.get_ref();
            if !keys.contains(&name) {
                self.error(key.span(), format!("there is no key `{name}` here: use {}", listed(&keys)));
            }
        }
        let mut found = keys.map(|key| {
            let value = entries.get(key);
            match value {
                None => self.error(table.span(), format!("`{key}` is missing")),
                Some(it) if !it.get_ref().is_str() => self.error(it.span(), format!("`{key}` must be a text in quotes")),
                Some(_) => {}
            }
            value.filter(|it| it.get_ref().is_str())
        });
        Some([found[0].take()?, found[1].take()?, found[2].take()?])
    }

    fn name(&mut self, value: Value<'_, '_>) -> Option<Arc<str>> {
        let name = value.get_ref().as_str().unwrap_or_default();
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            self.error(value.span(), "a rule's name has 1 to 64 characters on one line");
            return None;
        }
        let line = line_column(self.text, value.span().start).0;
        if let Some(first) = self.names.insert(name.to_owned(), line) {
            // The TOML reader goes by kind of table, not from top to bottom.
            let (above, below) = if first < line { (first, value.span()) } else { (line, self.span_of_line(first)) };
            self.error(below, format!("the name `{name}` is taken by the rule on line {above}"));
            return None;
        }
        Some(name.into())
    }

    fn span_of_line(&self, line: usize) -> Range<usize> {
        let start = self.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        start..start
    }

    fn target(&mut self, value: Value<'_, '_>) -> Option<TargetId> {
        let name = value.get_ref().as_str().unwrap_or_default();
        let target: TargetId = match name.parse() {
            Ok(target) => target,
            Err(error) => {
                self.error(value.span(), error.to_string());
                return None;
            }
        };
        if let Some(known) = self.targets.filter(|it| !it.contains(&target)) {
            let known: Vec<_> = known.iter().map(TargetId::as_str).collect();
            let known =
                if known.is_empty() { "the settings have none".to_owned() } else { format!("the settings have {}", listed(&known)) };
            self.error(value.span(), format!("there is no target `{name}`: {known}"));
            return None;
        }
        Some(target)
    }

    /// Compiled, checked, and tried on an order without anything and on one with everything.
    fn condition(&mut self, value: Value<'_, '_>) -> Option<cel::IdedExpr> {
        let source = value.get_ref().as_str().unwrap_or_default();
        let span = value.span();
        let quoted = Quoted::new(self.text.get(span.clone()).unwrap_or_default(), span.start, source);
        let at = |index| quoted.offset(index)..quoted.offset(index);
        if source.len() > SOURCE_BYTES_MAX {
            self.error(span, format!("a condition has at most {SOURCE_BYTES_MAX} bytes: write several rules"));
            return None;
        }
        if source.trim().is_empty() {
            self.error(span, "the condition is empty: write `true` for one that always holds");
            return None;
        }
        let program = match self.env.compile(source) {
            Ok(program) => program,
            Err(errors) => {
                // What follows the first is often only its echo.
                let (index, what) = errors.errors.first().map_or((0, ""), |it| (index_of(source, it.pos), it.msg.as_str()));
                let hint = if what.contains("'= ") || what.ends_with("'='") { " (two values are compared by `==`)" } else { "" };
                self.error(at(index), format!("not a CEL expression: {}{hint}", what.trim_start_matches("Syntax error: ")));
                return None;
            }
        };
        let mistakes = check(program.expression());
        for mistake in &mistakes {
            let index = program.source_info().offset_for(mistake.node).map_or(0, |(start, _)| start as usize);
            self.error(at(index), mistake.message.clone());
        }
        if !mistakes.is_empty() {
            return None;
        }
        for facts in [OrderFacts::default(), OrderFacts::sample()] {
            let mut context = Context::with_env(Arc::clone(self.env));
            context.set_variable_resolver(&facts);
            if let Err(what) = evaluate(program.expression(), &context) {
                self.error(at(0), format!("it failed on a sample order: {what}"));
                return None;
            }
        }
        Some(program.expression().clone())
    }
}

/// Of one condition.
const SOURCE_BYTES_MAX: usize = 4096;
const STACK_BYTES: usize = 256 << 20;

/// Line and column in characters, both from 1, to a byte of the source.
fn index_of(source: &str, (line, column): (isize, isize)) -> usize {
    let from_zero = |it: isize| usize::try_from(it - 1).unwrap_or_default();
    let start: usize = source.split_inclusive('\n').take(from_zero(line)).map(str::len).sum();
    start + source[start..].chars().take(from_zero(column)).map(char::len_utf8).sum::<usize>()
}

/// `a, b and c`, each in quotes.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|it| format!("`{it}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
