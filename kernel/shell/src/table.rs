//! Tables that line up.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display};

/// A column: its title and to which side its cells go.
pub struct Column {
    title: String,
    is_right: bool,
}

impl Column {
    /// For words.
    pub fn left(title: &str) -> Self {
        Self { title: title.into(), is_right: false }
    }

    /// For numbers.
    pub fn right(title: &str) -> Self {
        Self { title: title.into(), is_right: true }
    }

    /// Adds a unit to the title, so that the cells need none.
    pub fn unit(mut self, unit: &str) -> Self {
        self.title.push_str(" (");
        self.title.push_str(unit);
        self.title.push(')');
        self
    }
}

/// Rows of cells, shown below their titles in columns that are as wide as they must be.
///
/// ```
/// use shell::table::{Column, Table};
/// use shell::units::Thousands;
///
/// let mut table = Table::new([Column::right("core"), Column::left("state"),
/// Column::right("busy").unit("ms")]); table.row(&[&0, &"running", &Thousands(12_345)]);
/// table.row(&[&1, &"idle", &Thousands(7)]);
/// assert_eq!(table.to_string(), "\
/// core  state    busy (ms)
///    0  running     12,345
///    1  idle             7
/// ");
/// ```
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells that are missing stay empty, cells without a column are dropped, and line ends in a
    /// cell become blanks.
    pub fn row(&mut self, cells: &[&dyn Display]) -> &mut Self {
        let cells = cells.iter().take(self.columns.len());
        self.rows.push(cells.map(|cell| cell.to_string().replace(['\n', '\r', '\t'], " ")).collect());
        self
    }

    /// How many rows there are, the titles not counted.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Are there no rows?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let titles: Vec<_> = self.columns.iter().map(|column| column.title.clone()).collect();
        let lines = || core::iter::once(&titles).chain(&self.rows);
        let width_of = |index| {
            let widths =
                lines().filter_map(|cells| cells.get(index)).map(|cell: &String| cell.chars().count());
            widths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width_of).collect();
        for cells in lines() {
            let mut line = String::new();
            for (index, (column, &width)) in self.columns.iter().zip(&widths).enumerate() {
                let cell = cells.get(index).map_or("", String::as_str);
                let gap = if index == 0 { "" } else { "  " };
                line += &match column.is_right {
                    true => alloc::format!("{gap}{cell:>width$}"),
                    false => alloc::format!("{gap}{cell:<width$}"),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_are_missing_too_many_or_broken() {
        let mut table = Table::new([Column::left("name"), Column::right("n")]);
        table.row(&[&"a\nb"]).row(&[&"ü", &1, &2]).row(&[]);
        assert_eq!(table.to_string(), "name  n\na b\nü     1\n\n");
        assert_eq!((table.len(), table.is_empty()), (3, false));
    }

    #[test]
    fn titles_alone() {
        let table = Table::new([Column::left("event"), Column::right("handlers")]);
        assert_eq!(table.to_string(), "event  handlers\n");
        assert!(table.is_empty());
    }
}
