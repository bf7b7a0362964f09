//! How figures are shown: a table for people, numbers with their units. All output to the terminal
//! goes through here.

use std::io::Write;

use crate::error::{Error, Result};

/// Prints lines to standard output.
pub fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(Error::while_doing("cannot print"))
}

/// Tells of progress on standard error, so that standard output is the result alone.
pub fn progress(text: &str) {
    // A closed standard error is no reason to lose a measurement.
    drop(writeln!(std::io::stderr().lock(), "loadtest: {text}"));
}

/// Columns as wide as their widest cell; the first to the left, figures to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.into()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width_of = |column: usize| {
        all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width_of(column);
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

/// `84581.4` as `84,581`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let check = |number: f64, expected: &str| assert_eq!(thousands(number), expected);
        check(0.0, "0");
        check(999.4, "999");
        check(1000.0, "1,000");
        check(84_581.4, "84,581");
        check(1_234_567.0, "1,234,567");
    }

    #[test]
    fn columns_are_aligned() {
        let rows =
            [vec!["bare".to_owned(), "9".to_owned()], vec!["x".to_owned(), "10,000".to_owned()]];
        assert_eq!(table(&["who", "count"], &rows), "who    count\nbare       9\nx     10,000");
    }
}
