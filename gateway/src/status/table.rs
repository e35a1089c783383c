// SPDX-License-Identifier: AGPL-3.0-or-later
//! Aligned columns of text under a title.

use std::fmt;

/// A table; cells of the last column are not padded.
pub(crate) struct Table<const N: usize> {
    title: &'static str,
    header: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(title: &'static str, header: [&'static str; N], rows: Vec<[String; N]>) -> Self {
        Self { title, header, rows }
    }

    fn widths(&self) -> [usize; N] {
        let mut widths = self.header.map(|cell| cell.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{} ({})", self.title, self.rows.len())?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let widths = self.widths();
        write_row(f, &self.header, &widths)?;
        self.rows.iter().try_for_each(|row| write_row(f, row, &widths))
    }
}

fn write_row<S: AsRef<str>>(f: &mut fmt::Formatter<'_>, cells: &[S], widths: &[usize]) -> fmt::Result {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str("  ");
        line.push_str(cell.as_ref());
        line.extend(std::iter::repeat_n(' ', width - cell.as_ref().chars().count()));
    }
    writeln!(f, "{}", line.trim_end())
}
