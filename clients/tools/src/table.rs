// SPDX-License-Identifier: AGPL-3.0-or-later
//! Tables for people.

use std::fmt;

/// Rows under a header, each column as wide as its widest cell. Without rows it says that there is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<const N: usize> {
    header: [&'static str; N],
    rows: Vec<[String; N]>,
    nothing: &'static str,
}

impl<const N: usize> Table<N> {
    /// `nothing` is what it says without rows.
    pub const fn new(header: [&'static str; N], rows: Vec<[String; N]>, nothing: &'static str) -> Self {
        Self { header, rows, nothing }
    }
}

/// Lines without the last line feed.
impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return f.write_str(self.nothing);
        }
        let mut widths = self.header.map(width);
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        f.write_str(&line(&self.header, &widths))?;
        self.rows.iter().try_for_each(|row| write!(f, "\n{}", line(row, &widths)))
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

fn line<S: AsRef<str>>(cells: &[S], widths: &[usize]) -> String {
    let pad = |(cell, width): (&S, &usize)| format!("{:width$}", cell.as_ref());
    let cells: Vec<String> = cells.iter().zip(widths).map(pad).collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![["ä".to_owned(), "1".to_owned()], ["bcd".to_owned(), String::new()]];
        let table = Table::new(["name", "n"], rows, "none");
        assert_eq!(table.to_string(), "name  n\nä     1\nbcd");
        assert_eq!(Table::new(["name"], Vec::new(), "no links").to_string(), "no links");
    }
}
