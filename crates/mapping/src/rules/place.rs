//! Places in the file: from byte offsets to lines and columns, and from inside a quoted string back to the file.

/// Line and column of a byte offset, both from 1; the column counts characters.
pub(super) fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |it| it + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Where in the file each byte of a TOML string's value stands.
pub(super) struct Quoted {
    /// Byte offset in the file per byte of the value, and one for its end.
    offsets: Vec<usize>,
}

impl Quoted {
    /// `token`: the string with its quotes, which begins at `start`; `value`: what it means.
    pub(super) fn new(token: &str, start: usize, value: &str) -> Self {
        let offsets = decode(token).filter(|(decoded, _)| decoded == value).map(|(_, offsets)| offsets);
        // A form of string that is not known here: the place is its beginning, which is still the right line.
        let offsets = offsets.unwrap_or_else(|| vec![0; value.len() + 1]);
        Self { offsets: offsets.into_iter().map(|it| start + it).collect() }
    }

    /// The file's offset of the value's `index`-th byte.
    pub(super) fn offset(&self, index: usize) -> usize {
        self.offsets.get(index).or(self.offsets.last()).copied().unwrap_or_default()
    }
}

/// The token's value, and the offset in the token of each of its bytes and of its end.
fn decode(token: &str) -> Option<(String, Vec<usize>)> {
    let quote =
        ["'''", "\"\"\"", "'", "\""].into_iter().find(|it| token.starts_with(it) && token.len() >= 2 * it.len() && token.ends_with(it))?;
    let (mut at, end) = (quote.len(), token.len() - quote.len());
    if quote.len() == 3 {
        // A line break right after the opening quotes is not part of the value.
        let rest = &token[at..end];
        at += ["\r\n", "\n"].into_iter().find(|it| rest.starts_with(it)).map_or(0, str::len);
    }
    let (mut value, mut offsets) = (String::new(), Vec::new());
    while at < end {
        let rest = &token[at..end];
        let first = rest.chars().next()?;
        let (meant, len) = match first {
            '\\' if quote.starts_with('"') => escape(rest)?,
            '\r' if rest.starts_with("\r\n") => (Some('\n'), 2),
            other => (Some(other), other.len_utf8()),
        };
        if let Some(meant) = meant {
            value.push(meant);
            offsets.extend(std::iter::repeat_n(at, meant.len_utf8()));
        }
        at += len;
    }
    offsets.push(end);
    Some((value, offsets))
}

/// What the escape at the beginning means, and its length. `None`: a line break with its white space, which means nothing.
fn escape(rest: &str) -> Option<(Option<char>, usize)> {
    let code = |digits: usize| {
        let value = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
        Some((Some(char::from_u32(value)?), 2 + digits))
    };
    let simple = |meant| Some((Some(meant), 2));
    match rest.chars().nth(1)? {
        'b' => simple('\u{8}'),
        't' => simple('\t'),
        'n' => simple('\n'),
        'f' => simple('\u{c}'),
        'r' => simple('\r'),
        'e' => simple('\u{1b}'),
        '"' => simple('"'),
        '\\' => simple('\\'),
        'x' => code(2),
        'u' => code(4),
        'U' => code(8),
        it if it.is_ascii_whitespace() => Some((None, rest.len() - rest[1..].trim_start_matches([' ', '\t', '\r', '\n']).len())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_counts_characters() {
        assert_eq!(line_column("ä = 1\nöl = 2", "ä = 1\nöl".len()), (2, 3));
        assert_eq!(line_column("", 9), (1, 1));
    }

    fn check(token: &str, value: &str, index: usize, offset: usize) {
        assert_eq!(decode(token).map(|it| it.0).as_deref(), Some(value), "{token}");
        assert_eq!(Quoted::new(token, 100, value).offset(index), 100 + offset, "{token}");
    }

    #[test]
    fn an_offset_inside_a_string_leads_back_to_the_file() {
        check("'abc'", "abc", 1, 2);
        check(r#""a\"b\u00e9c""#, "a\"béc", 5, 11);
        check("'''\nä\nb'''", "ä\nb", 3, 7);
        check("\"\"\"a \\\n   b\"\"\"", "a b", 2, 10);
        check("'abc'", "abc", 99, 4);
    }

    #[test]
    fn a_string_that_is_not_understood_has_its_beginning() {
        assert_eq!(Quoted::new("abc", 100, "abc").offset(2), 100);
    }
}
