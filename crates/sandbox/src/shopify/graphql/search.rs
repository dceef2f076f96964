//! The search syntax of list queries: `updated_at:>='2026-01-01T00:00:00Z' AND status:any`, `sku:A OR sku:B`.
//! Times must be quoted, because of their colons; what the double does not know is an error, not ignored.

use chrono::{DateTime, Utc};

use super::error::GraphqlError;

/// Any of these holds, and of each all terms do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search(Vec<Vec<Term>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) field: String,
    pub(super) comparison: Comparison,
    pub(super) value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Is,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

impl Comparison {
    pub(super) fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Is => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::More => left > right,
            Self::MoreOrEqual => left >= right,
        }
    }
}

impl Search {
    /// An empty text finds everything.
    pub(super) fn parse(text: &str) -> Result<Self, GraphqlError> {
        let mut alternatives = vec![Vec::new()];
        for word in words(text) {
            match word.as_str() {
                "AND" => {}
                "OR" => alternatives.push(Vec::new()),
                _ => alternatives.last_mut().expect("there is always one").push(term(&word)?),
            }
        }
        Ok(Self(alternatives))
    }

    /// Whether something fits, by what `holds` says of its fields.
    pub(super) fn finds(&self, holds: impl Fn(&Term) -> Result<bool, GraphqlError>) -> Result<bool, GraphqlError> {
        for terms in &self.0 {
            let mut all = true;
            for term in terms {
                all &= holds(term)?;
            }
            if all {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Term {
    pub(super) fn time(&self, of: DateTime<Utc>) -> Result<bool, GraphqlError> {
        let time = self.value.parse::<DateTime<Utc>>();
        let time = time.map_err(|_| invalid(format!("`{}` is no time: write {}:>='2026-01-31T12:00:00Z'", self.value, self.field)))?;
        Ok(self.comparison.holds(&of, &time))
    }

    pub(super) fn number(&self, of: u64) -> Result<bool, GraphqlError> {
        let number = self.value.parse::<u64>().map_err(|_| invalid(format!("`{}` is no id", self.value)))?;
        Ok(self.comparison.holds(&of, &number))
    }

    /// Upper and lower case are one, as at the platform.
    pub(super) fn text(&self, of: &str) -> bool {
        match self.value.strip_suffix('*') {
            Some(head) => of.to_lowercase().starts_with(&head.to_lowercase()),
            None => of.eq_ignore_ascii_case(&self.value),
        }
    }

    pub(super) fn unknown(&self) -> GraphqlError {
        invalid(format!("the sandbox cannot search by `{}`", self.field))
    }
}

fn invalid(message: String) -> GraphqlError {
    GraphqlError::new("INVALID_SEARCH", message)
}

/// Splits at spaces outside quotation marks, which stay for now.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut escaped) = (Vec::new(), String::new(), None, false);
    for it in text.chars() {
        match it {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' | '"' if quote.is_none() => quote = Some(it),
            _ if quote == Some(it) => quote = None,
            ' ' | '\n' | '\t' if quote.is_none() => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                continue;
            }
            _ => {}
        }
        word.push(it);
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

fn term(word: &str) -> Result<Term, GraphqlError> {
    let (field, rest) = word.split_once(':').ok_or_else(|| invalid(format!("`{word}` names no field")))?;
    let comparisons = [(">=", Comparison::MoreOrEqual), ("<=", Comparison::LessOrEqual), (">", Comparison::More), ("<", Comparison::Less)];
    let found = comparisons.iter().find_map(|(sign, comparison)| rest.strip_prefix(sign).map(|rest| (*comparison, rest)));
    let (comparison, rest) = found.unwrap_or((Comparison::Is, rest));
    let quoted = ['\'', '"'].iter().find_map(|it| rest.strip_prefix(*it)?.strip_suffix(*it));
    if quoted.is_none() && rest.contains(':') && !rest.contains("\\:") {
        return Err(invalid(format!("`{rest}` has a colon: put it into quotation marks")));
    }
    Ok(Term { field: field.to_owned(), comparison, value: unescaped(quoted.unwrap_or(rest)) })
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut escaped) = (String::with_capacity(text.len()), false);
    for it in text.chars() {
        if it == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(it);
            escaped = false;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(search: &str, sku: &str) -> bool {
        Search::parse(search).unwrap().finds(|term| Ok(term.field == "sku" && term.text(sku))).unwrap()
    }

    #[test]
    fn terms_are_joined_by_and_or_and_quotes_keep_spaces() {
        assert!(finds("", "MUG"));
        assert!(finds("sku:MUG OR sku:'TEA POT'", "TEA POT"));
        assert!(!finds("sku:MUG AND sku:CUP", "MUG"));
        assert!(finds(r#"sku:"O\"5""#, "O\"5"));
        assert!(finds(r"sku:'it\'s'", "it's"));
        assert!(finds("sku:mug", "MUG"), "case does not matter to the platform");
        assert!(finds("sku:MU*", "MUG"));
    }

    #[test]
    fn a_time_compares_and_must_be_quoted() {
        let at = "2026-03-04T05:06:07Z".parse().unwrap();
        let holds = |search: &str| Search::parse(search).and_then(|it| it.finds(|term| term.time(at)));
        assert!(holds("updated_at:>='2026-03-04T05:06:07Z'").unwrap());
        assert!(!holds("updated_at:>\"2026-03-04T05:06:07Z\"").unwrap());
        assert!(holds("updated_at:>'2026-03-03T00:00:00+02:00' updated_at:<'2027-01-01T00:00:00Z'").unwrap());
        assert!(holds("updated_at:>=2026-03-04T05:06:07Z").is_err());
        assert!(holds("updated_at:>='yesterday'").is_err());
    }
}
