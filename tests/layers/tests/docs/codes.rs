//! Error codes and metrics, read from the sources.
//!
//! A code is born in three places: in a `fn code`, in `Fault::new` and in `Problem::new`. The second argument of the latter two
//! is a text, a constant of the same crate, or another error's `code()`. Anything else is an offence: the code could not be
//! found here, so its page could be forgotten.

use std::collections::BTreeSet;

use crate::tree::{self, Source};

/// All codes, and what could not be read.
pub(crate) fn of(sources: &[Source]) -> (BTreeSet<String>, Vec<String>) {
    let (mut codes, mut unreadable) = (BTreeSet::new(), Vec::new());
    for source in sources {
        for body in bodies_of_fn_code(&source.text) {
            codes.extend(texts(body).into_iter().filter(|it| is_code(it)));
        }
        for call in ["Fault::new(", "Problem::new("] {
            for (at, _) in source.text.match_indices(call) {
                let second = arguments(&source.text[at + call.len()..]).into_iter().nth(1).unwrap_or_default();
                match resolved(second.trim(), source, sources) {
                    Some(found) => codes.extend(found),
                    None => unreadable.push(format!("{}: `{call}…, {second}, …)` hides its code", tree::shown(&source.file))),
                }
            }
        }
    }
    (codes, unreadable)
}

fn resolved(argument: &str, source: &Source, sources: &[Source]) -> Option<Vec<String>> {
    if let Some(text) = argument.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
        return is_code(text).then(|| vec![text.to_owned()]);
    }
    // That one is found where it is born.
    if argument.ends_with(".code()") || argument.ends_with(".code") {
        return Some(Vec::new());
    }
    let name = argument.rsplit("::").next().unwrap_or_default();
    let is_constant = !name.is_empty() && name.bytes().all(|it| it.is_ascii_uppercase() || it == b'_');
    let values: Vec<String> = if is_constant { constants(name, source, sources) } else { Vec::new() };
    (!values.is_empty()).then_some(values)
}

fn constants(name: &str, source: &Source, sources: &[Source]) -> Vec<String> {
    let of_crate = sources.iter().filter(|it| it.home == source.home);
    let value = |line: &str| Some(line.split_once(&format!("const {name}: &str = \""))?.1.split('"').next()?.to_owned());
    of_crate.flat_map(|it| it.text.lines().filter_map(value).collect::<Vec<_>>()).collect()
}

fn bodies_of_fn_code(text: &str) -> Vec<&str> {
    let behind = text.match_indices("fn code(").map(|(at, _)| &text[at..]);
    let with_body = behind.filter_map(|it| {
        let (head, body) = it.split_once('{')?;
        // A signature without a body ends before the brace of something else.
        let is_own = head.contains("&'static str") && !head.contains(';');
        is_own.then(|| inside(body, '{', '}'))
    });
    with_body.collect()
}

/// Up to the bracket that closes what was opened before `text`.
fn inside(text: &str, open: char, close: char) -> &str {
    let mut depth = 1;
    for (at, it) in outside_of_texts(text) {
        depth += i32::from(it == open) - i32::from(it == close);
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// The arguments of a call whose opening bracket stands before `text`.
fn arguments(text: &str) -> Vec<String> {
    let list = inside(text, '(', ')');
    let (mut arguments, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, it) in outside_of_texts(list) {
        match it {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(list[from..at].to_owned());
                from = at + 1;
            }
            _ => {}
        }
    }
    arguments.push(list[from..].to_owned());
    arguments
}

/// Characters with their places, without those in `"texts"`.
fn outside_of_texts(text: &str) -> Vec<(usize, char)> {
    let (mut outside, mut is_in_text, mut is_escaped) = (Vec::new(), false, false);
    for (at, it) in text.char_indices() {
        match it {
            _ if is_escaped => is_escaped = false,
            '\\' if is_in_text => is_escaped = true,
            '"' => is_in_text = !is_in_text,
            _ if !is_in_text => outside.push((at, it)),
            _ => {}
        }
    }
    outside
}

fn texts(code: &str) -> Vec<String> {
    code.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn is_code(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_lowercase())
        && text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
}

/// Names that an instrument is made by.
pub(crate) fn metrics(text: &str) -> Vec<String> {
    texts_everywhere(text).filter(|it| it.starts_with("tradewind_") && is_code(it)).collect()
}

fn texts_everywhere(text: &str) -> impl Iterator<Item = String> {
    text.match_indices("\"tradewind_").filter_map(|(at, _)| text[at + 1..].split('"').next().map(str::to_owned))
}

#[test]
fn codes_are_found_wherever_they_are_born() {
    let source = |text: &str| Source { home: "a".into(), file: "a/src/lib.rs".into(), text: text.to_owned() };
    let sources = [
        source(
            r#"fn code(&self) -> &'static str { match self { Self::A { .. } => "one", Self::B(_) => "two" } } const X: &str = "not_me";"#,
        ),
        source("fn code(&self) -> &'static str;"),
        source(r#"Fault::new(Class::X, "three", format!("a, b {c}")); Problem::new(status, error.code(), "Title", detail);"#),
        source(r#"const FOUR: &str = "four"; Fault::new(fault::Class::of(a, b), module::FOUR, ")")"#),
    ];
    let (codes, unreadable) = of(&sources);
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["four", "one", "three", "two"]);
    assert_eq!(unreadable, Vec::<String>::new());
    let (_, unreadable) = of(&[source("Fault::new(class, name, message)")]);
    assert_eq!(unreadable, ["a/src/lib.rs: `Fault::new(…,  name, …)` hides its code"]);
}
