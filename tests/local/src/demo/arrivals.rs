//! What arrives in the demo, and when: pure, and the same for the same seed.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Ten hours of the NASA-HTTP log, a shuttle launch among them: see `tests/data/README.md`.
const TRACE: &str = include_str!("../../../data/nasa-http-1995-07-13.csv");

/// A file holds this many rows, the last of a window fewer.
const ROWS_PER_FILE: usize = 100;

/// A file that lands in `incoming/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Which table it is for, counted from 0.
    pub(super) table: usize,
    /// Its name, unique in the demo.
    pub(super) name: String,
    /// The ids of its rows: from, and how many.
    pub(super) first: u64,
    /// How many rows it has.
    pub(super) rows: u64,
    /// CSV with a header.
    pub(super) body: String,
}

/// Everything that arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrivals {
    /// The tables' columns beside `row_id`.
    pub(super) columns: Vec<String>,
    /// The files of each tick.
    pub(super) ticks: Vec<Vec<File>>,
}

impl Arrivals {
    /// The trace, its windows stretched over `ticks`, its rows dealt over `tables`.
    pub(super) fn from_trace(ticks: usize, tables: usize, seed: u64) -> anyhow::Result<Self> {
        let counts: Vec<(u64, usize)> = TRACE
            .lines()
            .skip(1)
            .map(parse_count)
            .collect::<anyhow::Result<_>>()?;
        let windows = split(&counts, ticks);
        let rows = windows.iter().map(|window| {
            let rows = window.iter().flat_map(|&(second, count)| {
                (0..count).map(move |_| vec![second.to_string(), (second % 7919).to_string()])
            });
            rows.collect::<Vec<_>>()
        });
        Dealer::new(vec!["second".to_owned(), "bytes".to_owned()], tables, seed).deal(rows)
    }

    /// All CSV files of a folder, in the order of their names, their rows spread evenly over `ticks`.
    pub(super) fn from_folder(
        folder: &Path,
        ticks: usize,
        tables: usize,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let (columns, rows) = read_folder(folder)?;
        let windows = split(&rows, ticks);
        Dealer::new(columns, tables, seed).deal(windows.iter().map(|window| window.to_vec()))
    }
}

fn parse_count(line: &str) -> anyhow::Result<(u64, usize)> {
    let (second, count) = line
        .split_once(',')
        .with_context(|| format!("the trace has a line without a comma: {line}"))?;
    Ok((second.parse()?, count.parse()?))
}

/// Splits into `parts` parts of nearly the same length, in order.
fn split<T>(all: &[T], parts: usize) -> Vec<&[T]> {
    (0..parts)
        .map(|part| &all[all.len() * part / parts..all.len() * (part + 1) / parts])
        .collect()
}

fn read_folder(folder: &Path) -> anyhow::Result<(Vec<String>, Vec<Vec<String>>)> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("--input {}: cannot be read", folder.display()))?;
    let mut paths: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "csv"))
        .collect();
    paths.sort();
    ensure!(
        !paths.is_empty(),
        "--input {}: no file ends in .csv",
        folder.display()
    );
    let mut columns: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for path in paths {
        let mut reader =
            csv::Reader::from_path(&path).with_context(|| path.display().to_string())?;
        let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        if columns.is_empty() {
            columns = header;
        } else if columns != header {
            bail!(
                "{}: its header is {header:?}, that of the files before it {columns:?}; all files go into tables of one shape",
                path.display()
            );
        }
        for record in reader.records() {
            let record = record.with_context(|| path.display().to_string())?;
            rows.push(record.iter().map(str::to_owned).collect());
        }
    }
    Ok((columns, rows))
}

/// Deals rows over tables, a file at a time.
struct Dealer {
    columns: Vec<String>,
    tables: usize,
    random: StdRng,
    next_row: u64,
}

impl Dealer {
    fn new(columns: Vec<String>, tables: usize, seed: u64) -> Self {
        Self {
            columns,
            tables,
            random: StdRng::seed_from_u64(seed),
            next_row: 0,
        }
    }

    fn deal(mut self, windows: impl Iterator<Item = Vec<Vec<String>>>) -> anyhow::Result<Arrivals> {
        let mut ticks = Vec::new();
        for (tick, rows) in windows.enumerate() {
            let mut files = Vec::new();
            for (number, chunk) in rows.chunks(ROWS_PER_FILE).enumerate() {
                files.push(self.file(format!("part-{tick:04}-{number:04}.csv"), chunk)?);
            }
            ticks.push(files);
        }
        Ok(Arrivals {
            columns: self.columns,
            ticks,
        })
    }

    fn file(&mut self, name: String, rows: &[Vec<String>]) -> anyhow::Result<File> {
        let first = self.next_row;
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(
            std::iter::once("row_id").chain(self.columns.iter().map(String::as_str)),
        )?;
        for row in rows {
            let id = self.next_row.to_string();
            writer
                .write_record(std::iter::once(id.as_str()).chain(row.iter().map(String::as_str)))?;
            self.next_row += 1;
        }
        let body = String::from_utf8(
            writer
                .into_inner()
                .map_err(|error| anyhow::anyhow!("{error}"))?,
        )?;
        Ok(File {
            table: self.random.random_range(0..self.tables),
            name,
            first,
            rows: self.next_row - first,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_deals_the_same_files_and_another_seed_others() {
        let deal = |seed| Arrivals::from_trace(30, 16, seed).expect("the trace");
        assert_eq!(deal(7), deal(7));
        assert_ne!(deal(7), deal(8));
    }

    #[test]
    fn every_row_of_the_trace_arrives_once() {
        let arrivals = Arrivals::from_trace(30, 16, 1).expect("the trace");
        let total: usize = TRACE
            .lines()
            .skip(1)
            .map(|line| parse_count(line).expect("a count").1)
            .sum();
        let mut next = 0;
        for file in arrivals.ticks.iter().flatten() {
            assert_eq!(file.first, next);
            assert_eq!(
                file.body.lines().count() as u64,
                file.rows + 1,
                "a header and the rows"
            );
            next += file.rows;
        }
        assert_eq!(next, total as u64);
    }

    #[test]
    fn own_files_of_two_shapes_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.csv"), "x,y\n1,\"a\nb\"\n").expect("a file");
        let read = Arrivals::from_folder(folder.path(), 2, 1, 1).expect("one shape");
        assert_eq!(read.columns, ["x", "y"]);
        assert!(read.ticks[1][0].body.contains("\"a\nb\""));
        std::fs::write(folder.path().join("b.csv"), "x\n1\n").expect("a file");
        let error = Arrivals::from_folder(folder.path(), 2, 1, 1)
            .expect_err("two shapes")
            .to_string();
        assert!(
            error.contains("b.csv") && error.contains(r#"["x"]"#),
            "{error}"
        );
    }
}
