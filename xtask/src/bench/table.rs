//! The figures of a run, as text that people and programs read.
//!
//! A line is a benchmark: eight columns with spaces between them, `-` where there is no figure. Empty lines and those that
//! begin with `#` are comments. A run that was saved is a baseline.

use std::fmt;
use std::str::FromStr;

/// The columns, as their heading names them.
const COLUMNS: [&str; 8] = ["# benchmark", "item", "ns", "MB/s", "ratio", "reference", "allocations", "instructions"];

/// A run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table(pub(crate) Vec<Row>);

/// One benchmark. Its figures are for one item.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// What it is, in a path.
    pub(crate) name: String,
    /// What is counted by: a span, a scrape.
    pub(crate) item: String,
    /// Processor time.
    pub(crate) ns: Option<f64>,
    /// Bytes handled.
    pub(crate) mb_per_s: Option<f64>,
    /// Processor time beside that of the reference in the same run; by the byte if the reference handles bytes.
    pub(crate) ratio: Option<f64>,
    /// The name of the benchmark it is compared with, or `-`.
    pub(crate) reference: String,
    /// Allocations.
    pub(crate) allocations: Option<f64>,
    /// Instructions.
    pub(crate) instructions: Option<f64>,
}

/// Why a text is no table.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum TableError {
    /// A line has too few or too many columns.
    #[error("line {line} has {columns} columns instead of {}", COLUMNS.len())]
    Columns {
        /// The number of the line, from 1.
        line: usize,
        /// How many it has.
        columns: usize,
    },
    /// A figure is no number.
    #[error("line {line}: `{figure}` is not a figure")]
    Figure {
        /// The number of the line, from 1.
        line: usize,
        /// What stands there.
        figure: String,
    },
    /// A benchmark stands twice.
    #[error("line {line}: `{name}` stands twice")]
    Twice {
        /// The number of the second line, from 1.
        line: usize,
        /// The benchmark.
        name: String,
    },
}

impl Table {
    /// The row of the benchmark called `name`.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.name == name)
    }

    /// The same rows in the same order, with the figures of `new` where it has some, and its further rows.
    pub(crate) fn updated(self, mut new: Table) -> Table {
        let order: Vec<String> = self.0.iter().map(|row| row.name.clone()).collect();
        new.merge(self);
        let place = |row: &Row| order.iter().position(|name| *name == row.name).unwrap_or(order.len());
        new.0.sort_by_key(place);
        new
    }

    /// Takes over the figures of `other` that are missing here.
    pub(crate) fn merge(&mut self, other: Table) {
        for new in other.0 {
            match self.0.iter_mut().find(|row| row.name == new.name) {
                Some(row) => {
                    row.ns = row.ns.or(new.ns);
                    row.mb_per_s = row.mb_per_s.or(new.mb_per_s);
                    row.ratio = row.ratio.or(new.ratio);
                    row.allocations = row.allocations.or(new.allocations);
                    row.instructions = row.instructions.or(new.instructions);
                }
                None => self.0.push(new),
            }
        }
    }
}

impl FromStr for Table {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Self, TableError> {
        let mut table = Table::default();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let columns: Vec<&str> = text.split_whitespace().collect();
            if columns.first().is_none_or(|first| first.starts_with('#')) {
                continue;
            }
            let [name, item, ns, mb_per_s, ratio, reference, allocations, instructions] = columns[..] else {
                return Err(TableError::Columns { line, columns: columns.len() });
            };
            if table.row(name).is_some() {
                return Err(TableError::Twice { line, name: name.to_owned() });
            }
            table.0.push(Row {
                name: name.to_owned(),
                item: item.to_owned(),
                ns: figure(ns, line)?,
                mb_per_s: figure(mb_per_s, line)?,
                ratio: figure(ratio, line)?,
                reference: reference.to_owned(),
                allocations: figure(allocations, line)?,
                instructions: figure(instructions, line)?,
            });
        }
        Ok(table)
    }
}

fn figure(text: &str, line: usize) -> Result<Option<f64>, TableError> {
    if text == "-" {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.map(Some).ok_or_else(|| TableError::Figure { line, figure: text.to_owned() })
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = COLUMNS.map(str::to_owned);
        let lines: Vec<_> = std::iter::once(heading).chain(self.0.iter().map(cells)).collect();
        let width = |column: usize| lines.iter().map(|cells| cells[column].len()).max().unwrap_or_default();
        let [name, item, ns, mb_per_s, ratio, reference, allocations, instructions] = std::array::from_fn(width);
        for cells in &lines {
            let line = format!(
                "{:name$}  {:item$}  {:>ns$}  {:>mb_per_s$}  {:>ratio$}  {:reference$}  {:>allocations$}  {:>instructions$}",
                cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7],
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn cells(row: &Row) -> [String; COLUMNS.len()] {
    let figure = |figure: Option<f64>, decimals| figure.map_or("-".to_owned(), |figure| format!("{figure:.decimals$}"));
    [
        row.name.clone(),
        row.item.clone(),
        figure(row.ns, 2),
        figure(row.mb_per_s, 0),
        figure(row.ratio, 2),
        row.reference.clone(),
        figure(row.allocations, 2),
        figure(row.instructions, 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment

telemetry/count  call  7.57    -     1.36   reference/atomic_add  0.00  49.0
wire/walk        span  122.07  3618  25.12  reference/memcpy      -     -
";

    #[test]
    fn reads_what_it_writes() {
        let table: Table = TEXT.parse().unwrap();
        assert_eq!(table.0.len(), 2);
        assert_eq!(table.row("telemetry/count").unwrap().instructions, Some(49.0));
        assert_eq!(table.row("wire/walk").unwrap().mb_per_s, Some(3618.0));
        assert_eq!(table.to_string().parse::<Table>().unwrap(), table);
    }

    #[test]
    fn merging_fills_what_is_missing_and_keeps_the_rest() {
        let mut table: Table = TEXT.parse().unwrap();
        table.merge("wire/walk span 1 1 1 - 0 1735\nnew call - - - - - 3".parse().unwrap());
        let walk = table.row("wire/walk").unwrap();
        assert_eq!((walk.ns, walk.allocations, walk.instructions), (Some(122.07), Some(0.0), Some(1735.0)));
        assert_eq!(table.row("new").unwrap().instructions, Some(3.0));
    }

    #[test]
    fn an_update_takes_the_new_figures_and_keeps_the_order_and_what_was_not_measured() {
        let old: Table = "a call 1 - - - 0 10\nb call 2 - - - 0 20\n".parse().unwrap();
        let updated = old.updated("c call 3 - - - 0 30\nb call - - - - - 21\n".parse().unwrap());
        let figures = updated.0.iter().map(|row| (row.name.as_str(), row.ns, row.instructions));
        let expected = [("a", Some(1.0), Some(10.0)), ("b", Some(2.0), Some(21.0)), ("c", Some(3.0), Some(30.0))];
        assert_eq!(figures.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn refuses_what_is_no_table_with_its_line() {
        let parse = |text: &str| text.parse::<Table>().unwrap_err();
        assert_eq!(parse("\na b c"), TableError::Columns { line: 2, columns: 3 });
        assert_eq!(parse("a b - - x - - -"), TableError::Figure { line: 1, figure: "x".to_owned() });
        assert_eq!(parse("a b - - NaN - - -"), TableError::Figure { line: 1, figure: "NaN".to_owned() });
        assert_eq!(parse("a b - - - - - -\na b - - - - - -"), TableError::Twice { line: 2, name: "a".to_owned() });
    }
}
