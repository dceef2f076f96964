//! Reads GraphQL documents: operations, fragments, arguments, directives. As much of the language as clients of the platform use.

use std::collections::BTreeMap;

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    pub(super) operations: Vec<Operation>,
    pub(super) fragments: BTreeMap<String, Vec<Selection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OperationKind {
    Query,
    Mutation,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    pub(super) kind: OperationKind,
    pub(super) name: Option<String>,
    pub(super) variables: Vec<Variable>,
    pub(super) selections: Vec<Selection>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// As written: `[ID!]!`.
    pub(super) kind: String,
    pub(super) default: Option<Literal>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Selection {
    Field(Field),
    Spread(String),
    Inline { on: Option<String>, selections: Vec<Selection> },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) alias: Option<String>,
    pub(super) name: String,
    pub(super) arguments: Vec<(String, Literal)>,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
}

impl Field {
    /// Under which the answer has it.
    pub(super) fn key(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) arguments: Vec<(String, Literal)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Variable(String),
    /// Text, number, truth, null; also an enum's value, as text.
    Plain(Value),
    List(Vec<Literal>),
    Object(Vec<(String, Literal)>),
}

/// Where the document stops making sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error: expected {expected}, found {found}")]
pub(super) struct SyntaxError {
    expected: String,
    found: String,
}

pub(super) fn parse(text: &str) -> Result<Document, SyntaxError> {
    let mut parser = Parser { tokens: lex(text)?, at: 0 };
    let mut document = Document { operations: Vec::new(), fragments: BTreeMap::new() };
    while parser.peek().is_some() {
        match parser.peek() {
            Some(Token::Name(word)) if word == "fragment" => {
                let (name, selections) = parser.fragment()?;
                document.fragments.insert(name, selections);
            }
            _ => document.operations.push(parser.operation()?),
        }
    }
    if document.operations.is_empty() { Err(parser.wrong("an operation")) } else { Ok(document) }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(Value),
    /// One of `{}()[]:=!$@|&` or `...`.
    Mark(&'static str),
}

const MARKS: [&str; 14] = ["...", "{", "}", "(", ")", "[", "]", ":", "=", "!", "$", "@", "|", "&"];

fn lex(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches(|it: char| it.is_whitespace() || it == ',' || it == '\u{feff}');
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        if first == '#' {
            rest = rest.split_once('\n').map_or("", |it| it.1);
        } else if let Some(mark) = MARKS.iter().find(|it| rest.starts_with(**it)) {
            tokens.push(Token::Mark(mark));
            rest = &rest[mark.len()..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(rest.len());
            tokens.push(Token::Name(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if first.is_ascii_digit() || first == '-' {
            let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && !"+-.".contains(it)).unwrap_or(rest.len());
            let number = serde_json::from_str(&rest[..end]).map_err(|_| wrong("a number", &rest[..end]))?;
            tokens.push(Token::Number(number));
            rest = &rest[end..];
        } else if let Some(block) = rest.strip_prefix("\"\"\"") {
            let end = block.find("\"\"\"").ok_or_else(|| wrong("the end of a block of text", "the end"))?;
            tokens.push(Token::Text(block[..end].trim().to_owned()));
            rest = &block[end + 3..];
        } else if first == '"' {
            let end = end_of_text(rest).ok_or_else(|| wrong("the end of a text", "the end"))?;
            // GraphQL escapes as JSON does.
            let value = serde_json::from_str(&rest[..end]).map_err(|_| wrong("a text", &rest[..end]))?;
            tokens.push(Token::Text(value));
            rest = &rest[end..];
        } else {
            return Err(wrong("GraphQL", &first.to_string()));
        }
    }
}

/// Behind the closing quotation mark.
fn end_of_text(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn wrong(expected: &str, found: &str) -> SyntaxError {
    SyntaxError { expected: expected.to_owned(), found: found.to_owned() }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn wrong(&self, expected: &str) -> SyntaxError {
        let found = self.peek().map_or("the end".to_owned(), |it| format!("{it:?}"));
        wrong(expected, &found)
    }

    fn is(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Token::Mark(it)) if *it == mark)
    }

    fn take(&mut self, mark: &str) -> bool {
        let is = self.is(mark);
        self.at += usize::from(is);
        is
    }

    fn need(&mut self, mark: &str) -> Result<(), SyntaxError> {
        if self.take(mark) { Ok(()) } else { Err(self.wrong(mark)) }
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.wrong("a name")),
        }
    }

    fn operation(&mut self) -> Result<Operation, SyntaxError> {
        let mut operation = Operation { kind: OperationKind::Query, name: None, variables: Vec::new(), selections: Vec::new() };
        if !self.is("{") {
            operation.kind = match self.name()?.as_str() {
                "query" => OperationKind::Query,
                "mutation" => OperationKind::Mutation,
                other => return Err(wrong("query, mutation or fragment", other)),
            };
            if let Some(Token::Name(_)) = self.peek() {
                operation.name = Some(self.name()?);
            }
            if self.take("(") {
                while !self.take(")") {
                    operation.variables.push(self.variable()?);
                }
            }
            self.directives()?;
        }
        operation.selections = self.selections()?;
        Ok(operation)
    }

    fn fragment(&mut self) -> Result<(String, Vec<Selection>), SyntaxError> {
        self.next();
        let name = self.name()?;
        if self.name()? != "on" {
            return Err(self.wrong("on"));
        }
        let on = Some(self.name()?);
        self.directives()?;
        Ok((name, vec![Selection::Inline { on, selections: self.selections()? }]))
    }

    fn variable(&mut self) -> Result<Variable, SyntaxError> {
        self.need("$")?;
        let name = self.name()?;
        self.need(":")?;
        let kind = self.kind()?;
        let default = if self.take("=") { Some(self.literal()?) } else { None };
        self.directives()?;
        Ok(Variable { name, kind, default })
    }

    fn kind(&mut self) -> Result<String, SyntaxError> {
        let mut kind = if self.take("[") {
            let inner = self.kind()?;
            self.need("]")?;
            format!("[{inner}]")
        } else {
            self.name()?
        };
        if self.take("!") {
            kind.push('!');
        }
        Ok(kind)
    }

    fn selections(&mut self) -> Result<Vec<Selection>, SyntaxError> {
        self.need("{")?;
        let mut selections = Vec::new();
        while !self.take("}") {
            selections.push(self.selection()?);
        }
        if selections.is_empty() { Err(self.wrong("a field")) } else { Ok(selections) }
    }

    fn selection(&mut self) -> Result<Selection, SyntaxError> {
        if !self.take("...") {
            return Ok(Selection::Field(self.field()?));
        }
        let on = match self.peek() {
            Some(Token::Name(name)) if name != "on" => return Ok(Selection::Spread(self.name()?)),
            Some(Token::Name(_)) => {
                self.next();
                Some(self.name()?)
            }
            _ => None,
        };
        self.directives()?;
        Ok(Selection::Inline { on, selections: self.selections()? })
    }

    fn field(&mut self) -> Result<Field, SyntaxError> {
        let mut name = self.name()?;
        let mut alias = None;
        if self.take(":") {
            alias = Some(name);
            name = self.name()?;
        }
        let arguments = self.arguments()?;
        let directives = self.directives()?;
        let selections = if self.is("{") { self.selections()? } else { Vec::new() };
        Ok(Field { alias, name, arguments, directives, selections })
    }

    fn directives(&mut self) -> Result<Vec<Directive>, SyntaxError> {
        let mut directives = Vec::new();
        while self.take("@") {
            directives.push(Directive { name: self.name()?, arguments: self.arguments()? });
        }
        Ok(directives)
    }

    fn arguments(&mut self) -> Result<Vec<(String, Literal)>, SyntaxError> {
        let mut arguments = Vec::new();
        if self.take("(") {
            while !self.take(")") {
                arguments.push(self.pair()?);
            }
        }
        Ok(arguments)
    }

    fn pair(&mut self) -> Result<(String, Literal), SyntaxError> {
        let name = self.name()?;
        self.need(":")?;
        Ok((name, self.literal()?))
    }

    fn literal(&mut self) -> Result<Literal, SyntaxError> {
        let expected = self.wrong("a value");
        match self.next() {
            Some(Token::Mark("$")) => Ok(Literal::Variable(self.name()?)),
            Some(Token::Text(text)) => Ok(Literal::Plain(Value::String(text))),
            Some(Token::Number(number)) => Ok(Literal::Plain(number)),
            Some(Token::Name(word)) => Ok(Literal::Plain(match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => Value::String(word),
            })),
            Some(Token::Mark("[")) => {
                let mut items = Vec::new();
                while !self.take("]") {
                    items.push(self.literal()?);
                }
                Ok(Literal::List(items))
            }
            Some(Token::Mark("{")) => {
                let mut fields = Vec::new();
                while !self.take("}") {
                    fields.push(self.pair()?);
                }
                Ok(Literal::Object(fields))
            }
            _ => Err(expected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_with_all_that_clients_write() {
        let document = parse(
            r#"# stock
            mutation Push($input: InventorySetQuantitiesInput!, $key: String = "k\"1", $ids: [ID!]!) {
              first: inventorySetQuantities(input: $input) @idempotent(key: $key) { ...Errors, group: inventoryAdjustmentGroup { id } }
            }
            fragment Errors on InventorySetQuantitiesPayload { userErrors { code field ... on Node { id } ... @include(if: true) { message } } }
            query Two { orders(first: 5, sortKey: UPDATED_AT, query: """a b""", filter: {tags: ["x" "y"], n: -1.5}) { nodes { id } } }"#,
        )
        .unwrap();
        assert_eq!(document.operations.len(), 2);
        let push = &document.operations[0];
        assert_eq!((push.kind, push.name.as_deref()), (OperationKind::Mutation, Some("Push")));
        assert_eq!(push.variables[2].kind, "[ID!]!");
        assert_eq!(push.variables[1].default, Some(Literal::Plain("k\"1".into())));
        let Selection::Field(field) = &push.selections[0] else { panic!() };
        assert_eq!((field.key(), field.name.as_str()), ("first", "inventorySetQuantities"));
        assert_eq!(field.directives[0].arguments[0].1, Literal::Variable("key".into()));
        assert!(document.fragments.contains_key("Errors"));
    }

    #[test]
    fn what_is_no_graphql_is_refused_with_the_place() {
        for (text, expected) in [
            ("", "an operation"),
            ("{ }", "a field"),
            ("{ a(", "a name"),
            ("subscription { a }", "query, mutation or fragment"),
            ("{ a(b: ) }", "a value"),
            ("{ \"open }", "the end of a text"),
        ] {
            assert_eq!(parse(text).unwrap_err().expected, expected, "{text}");
        }
    }
}
