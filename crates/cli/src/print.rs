//! Output: data on standard output, as text for people or as JSON; everything else on standard error.

use serde::Serialize;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    pub(crate) json: bool,
}

impl Printer {
    /// Prints `data` as JSON if that was asked for, else what `text` makes of it.
    pub(crate) fn print<T: Serialize>(self, data: &T, text: impl FnOnce(&T) -> String) {
        if self.json {
            println!("{}", serde_json::to_string_pretty(data).expect("our own data has a JSON form"));
        } else {
            let text = text(data);
            print!("{text}{}", if text.ends_with('\n') || text.is_empty() { "" } else { "\n" });
        }
    }
}

/// Columns as wide as their widest cell; numbers to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).chain([head[column].chars().count()]).max().unwrap_or(0);
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            let is_number = !cell.is_empty() && cell.chars().all(|it| it.is_ascii_digit() || it == '.' || it == '-');
            if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let head: Vec<_> = head.iter().map(|it| (*it).to_owned()).collect();
    std::iter::once(line(&head)).chain(rows.iter().map(|row| line(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_numbers_stand_to_the_right() {
        let rows = vec![vec!["mapper".to_owned(), "7".to_owned()], vec!["order-router".to_owned(), "1200".to_owned()]];
        assert_eq!(table(&["group", "applied"], &rows), "group         applied\nmapper              7\norder-router     1200\n");
    }
}
