//! What one run is asked to load, and what it answers with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepfleet_activity::catalogue::read_config;
use stepfleet_activity::{ActivityError, Class, ConfigFault, names};

use crate::s3_load::codec::{Compression, Gzip};
use crate::s3_load::column::ColumnName;
use crate::s3_load::formats::{self, Header, Options};
use crate::s3_load::keys;
use crate::s3_load::matching::{Match, Taken};
use crate::s3_load::table::{Dialect, TableName};

/// How the files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// Fields between delimiters, without quotes.
    Text,
    /// JSON objects, one after the other.
    Json,
    /// Fields of fixed widths.
    FixedWidth,
}

/// The input of `etl.s3-load`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadInput {
    /// The bucket.
    pub bucket: String,
    /// What `incoming/`, `processed/`, `failed/`, `manifests/` and `leases/` come
    /// after: empty, or ending in `/`.
    #[serde(default)]
    pub prefix: String,
    /// The target, as `schema.table`; parts in double quotes keep their case where
    /// the warehouse does.
    #[schemars(with = "String")]
    pub table: TableName,
    /// How the files are written.
    pub format: Format,
    /// Which keys are loaded, as globs against what follows `incoming/`: everything
    /// unless said, but for markers like `_SUCCESS`. A `*` crosses `/`.
    #[serde(default, rename = "match", skip_serializing_if = "Match::is_all")]
    pub matches: Match,
    /// Whether each file begins with a line of names: `match` (or true) finds each
    /// field's column by them, `skip` passes over the line.
    #[serde(default, skip_serializing_if = "Header::is_none")]
    pub header: Header,
    /// How the files are packed: each as its name ends or else as it begins,
    /// unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// A short form of `compression`: true is gzip, false is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gzip: Option<Gzip>,
    /// Whether files that were loaded before and came again are loaded once more.
    /// In an input alone: in the catalogue it would be so at every tick.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reload: bool,
    /// The columns in the files' order; without them, the table's own. Names in
    /// double quotes keep their case where the warehouse does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub columns: Vec<ColumnName>,
    /// What the format leaves open; see the table of formats.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    pub options: Options,
}

/// The output of `etl.s3-load`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoadOutput {
    /// What was loaded, if anything was; the first batch where a bad file made
    /// it several.
    pub batch_id: Option<String>,
    /// Files loaded by this run.
    pub files: u64,
    /// Rows loaded by this run.
    pub rows: u64,
    /// Bytes of the files loaded by this run.
    pub bytes: u64,
    /// Files moved to `processed/`, leftovers of earlier runs included.
    pub moved: u64,
    /// Files that cannot be loaded and were moved to `failed/`.
    pub failed: u64,
    /// Files still in `incoming/`, not loaded.
    pub remaining: u64,
    /// Files that were loaded before, came again with the same bytes, and were
    /// moved to `processed/` unread.
    pub already: u64,
    /// Keys under `incoming/` that `match` does not take, and markers.
    pub ignored: u64,
    /// One of these, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored_key: Option<String>,
    /// Whether somebody else is loading this table, so that nothing was done.
    pub held: bool,
}

/// The JSON Schema of the input.
pub(crate) fn schema() -> Value {
    schemars::schema_for!(LoadInput).to_value()
}

impl LoadInput {
    /// Reads what a run is given.
    ///
    /// # Errors
    /// `Worker.BadInput`: where, what was found, and what is allowed.
    pub fn read(value: &Value) -> Result<Self, ActivityError> {
        let input: Self = read_config(value).map_err(|fault| bad_input(vec![fault]))?;
        input.check()?;
        Ok(input)
    }

    pub(crate) fn check(&self) -> Result<(), ActivityError> {
        let faults = self.faults();
        if faults.is_empty() {
            return Ok(());
        }
        Err(bad_input(faults))
    }

    /// Everything that reaches SQL text is on an allow-list.
    pub(crate) fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        let bucket_ok = (3..=63).contains(&self.bucket.len())
            && self
                .bucket
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
        if !bucket_ok {
            let allowed = "a bucket's name: 3 to 63 of a-z, 0-9, . and -";
            faults.push(fault("bucket", &self.bucket, allowed));
        }
        let prefix_ok = self.prefix.len() <= 512
            && (self.prefix.is_empty() || self.prefix.ends_with('/'))
            && self.prefix.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'=' | b'!' | b'+')
            });
        if !prefix_ok {
            let allowed = "empty, or up to 512 letters, digits and /-_.=!+ ending in /";
            faults.push(fault("prefix", &self.prefix, allowed));
        }
        if self.compression.is_some() && self.gzip.is_some() {
            let allowed = "one of `compression` and its short form `gzip`";
            faults.push(fault("gzip", "both", allowed));
        }
        self.column_faults(&mut faults);
        faults.extend(self.options.faults());
        faults.extend(formats::faults_on(self, None));
        faults
    }

    fn column_faults(&self, faults: &mut Vec<ConfigFault>) {
        for (at, column) in self.columns.iter().enumerate() {
            if let Some(first) = self.columns[..at].iter().position(|other| other == column) {
                let allowed = format!("a column once, and columns[{first}] is it already");
                faults.push(fault(&format!("columns[{at}]"), column.name(), &allowed));
            }
        }
    }

    /// As a warehouse reads its names, if it has all that is said.
    pub(crate) fn on(mut self, dialect: Dialect) -> Result<Self, Vec<ConfigFault>> {
        let mut faults = formats::faults_on(&self, Some(dialect));
        if dialect == Dialect::Postgres {
            self.beyond_postgres(&mut faults);
        }
        for (at, column) in self.columns.iter().enumerate() {
            let fault = column.fits(dialect).err();
            let fault =
                fault.map(|error| ConfigFault::new(format!("columns[{at}]"), error.to_string()));
            faults.extend(fault);
        }
        if dialect == Dialect::Redshift {
            self.beyond_redshift(&mut faults);
        }
        match self.table.clone().on(dialect) {
            Ok(table) => self.table = table,
            Err(error) => faults.push(ConfigFault::new("table", error.to_string())),
        }
        if faults.is_empty() {
            Ok(self)
        } else {
            Err(faults)
        }
    }

    /// What only the loader could read, and what Redshift folds to one name, quotes
    /// or not.
    fn beyond_redshift(&self, faults: &mut Vec<ConfigFault>) {
        if self.compression() == Compression::Lzop && self.header == Header::Match {
            let allowed = "skip or none where files are packed by lzop, which only Redshift reads";
            faults.push(fault("header", "match", allowed));
        }
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.name().to_lowercase())
            .collect();
        for (at, column) in self.columns.iter().enumerate() {
            let folded = names[..at].iter().position(|other| *other == names[at]);
            if let Some(first) = folded.filter(|first| self.columns[*first] != *column) {
                let allowed = format!(
                    "a column once, and Redshift takes it for columns[{first}]: it folds quoted names too"
                );
                faults.push(fault(&format!("columns[{at}]"), column.name(), &allowed));
            }
        }
    }

    /// What only Redshift's COPY reads.
    fn beyond_postgres(&self, faults: &mut Vec<ConfigFault>) {
        if self.compression() == Compression::Lzop {
            let allowed = "gzip, bzip2, zstd, none or auto: only Redshift reads lzop";
            faults.push(fault("compression", "lzop", allowed));
        }
    }

    /// How the files are packed, as it is said in either form.
    pub(crate) fn compression(&self) -> Compression {
        let short = self.gzip.map(Compression::from);
        self.compression.or(short).unwrap_or_default()
    }

    /// A key in one of the loader's folders.
    pub(crate) fn key(&self, folder: &str, rest: &str) -> String {
        format!("{}{folder}/{rest}", self.prefix)
    }

    /// Whether a key under `incoming/` is a file to load.
    pub(crate) fn takes(&self, key: &str) -> Taken {
        self.matches.takes(keys::rest(self, key))
    }
}

/// What was found is said up to here.
const SAID: usize = 300;

fn fault(path: &str, found: &str, allowed: &str) -> ConfigFault {
    let found: String = found.chars().take(SAID).collect();
    ConfigFault::new(path, format!("found {found:?}; allowed is {allowed}"))
}

/// All faults in a line, each with its path.
pub(crate) fn bad_input(faults: Vec<ConfigFault>) -> ActivityError {
    let faults = faults.into_iter().map(|fault| {
        let dot = if fault.path.is_empty() { "" } else { "." };
        let meant = fault.suggestion;
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
        let message: String = fault.message.chars().take(2 * SAID).collect();
        format!(
            "input{dot}{}: {message}{}",
            fault.path,
            meant.unwrap_or_default()
        )
    });
    let faults: Vec<String> = faults.collect();
    ActivityError::named(names::BAD_INPUT, Class::Permanent, faults.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input() -> LoadInput {
        serde_json::from_str(
            r#"{"bucket": "land", "prefix": "a/", "table": "public.t", "format": "csv"}"#,
        )
        .expect("an input")
    }

    #[test]
    fn nothing_reaches_sql_that_could_leave_its_place() {
        input().check().expect("fine");
        let cases: [fn(&mut LoadInput); 4] = [
            |input| input.bucket = "a'b".into(),
            |input| input.bucket = "AB".into(),
            |input| input.prefix = "a'/".into(),
            |input| input.prefix = "a".into(),
        ];
        for (case, spoil) in cases.iter().enumerate() {
            let mut input = input();
            spoil(&mut input);
            let error = input.check().expect_err("refused");
            assert_eq!(error.name(), names::BAD_INPUT, "case {case}");
        }
    }

    /// What is wrong, and what the error says of it.
    #[test]
    fn an_input_that_is_none_says_where_and_what_was_found_and_what_is_allowed() {
        let cases = [
            (
                json!({"format": "csw"}),
                "input.format: found `csw`; allowed are: csv, text, json, fixed_width",
            ),
            (
                json!({"format": 7}),
                "input.format: found `7`; allowed are: csv, text, json, fixed_width",
            ),
            (
                json!({"table": "t"}),
                "input.table: found `t`; allowed is schema.table",
            ),
            (
                json!({"bucket": "LAND"}),
                "input.bucket: found \"LAND\"; allowed is a bucket's name",
            ),
            (
                json!({"prefix": "a"}),
                "input.prefix: found \"a\"; allowed is empty, or",
            ),
            (
                json!({"header": "yes"}),
                "input.header: found `yes`; allowed are match (or true), skip, none (or false)",
            ),
            (
                json!({"columns": ["a", "b\"c"]}),
                "input.columns[1]: found \"b\\\"c\"; allowed is a name",
            ),
            (
                json!({"columns": ["id", "b", "ID"]}),
                "input.columns[2]: found \"id\"; allowed is a column once, and columns[0] is it",
            ),
            (
                json!({"compression": "gzip", "gzip": true}),
                "input.gzip: found \"both\"; allowed is one of `compression`",
            ),
            (
                json!({"compression": "zip"}),
                "input.compression: found `zip`; allowed are: auto, gzip, bzip2, zstd, lzop, none",
            ),
            (
                json!({"gzip": "yes"}),
                "input.gzip: found the text `yes`, allowed is true, false or auto",
            ),
            (
                json!({"format": "json", "header": true}),
                "input.header: found `match`, which does not go with `format: json`",
            ),
            (
                json!({"match": ["*.csv", "[a"]}),
                "input.match[1]: found `[a`; allowed is a glob",
            ),
            (
                json!({"match": "{a"}),
                "input.match: found `{a`; allowed is a glob",
            ),
            (
                json!({"match": []}),
                "input.match: found 0 globs; allowed are 1 to 100",
            ),
            (
                json!({"tabel": "t"}),
                "input.tabel: `tabel` is no key here; allowed are: bucket",
            ),
            (
                json!({"bucket": "B", "prefix": "p"}),
                "; input.prefix: found",
            ),
        ];
        for (more, want) in cases {
            let mut input = json!({"bucket": "land", "table": "public.t", "format": "csv"});
            let fields = input.as_object_mut().expect("an object");
            fields.extend(more.as_object().expect("an object").clone());
            let error = LoadInput::read(&input).expect_err("refused");
            assert_eq!(error.name(), names::BAD_INPUT, "{more}");
            assert!(error.cause().contains(want), "{more}: {error}");
        }
        let error = LoadInput::read(&json!({"bucket": "land"})).expect_err("refused");
        assert_eq!(
            error.cause(),
            "input: `table` is missing and has no default"
        );
    }

    #[test]
    fn what_only_one_warehouse_takes_is_refused_for_the_other() {
        let folded = json!(["\"Id\"", "id"]);
        let cases = [
            (json!({"columns": folded}), Some("columns[1]"), None),
            (json!({"compression": "lzop"}), None, Some("compression")),
            (
                json!({"compression": "lzop", "header": "match"}),
                Some("header"),
                Some("compression"),
            ),
        ];
        for (more, redshift, postgres) in cases {
            let mut value = serde_json::to_value(input()).expect("JSON");
            let all = value.as_object_mut().expect("an object");
            all.extend(more.as_object().expect("an object").clone());
            for (dialect, want) in [(Dialect::Redshift, redshift), (Dialect::Postgres, postgres)] {
                let input = LoadInput::read(&value).expect("an input");
                let path = input.on(dialect).err().map(|faults| faults[0].path.clone());
                assert_eq!(path.as_deref(), want, "{value} on {dialect:?}");
            }
        }
    }

    #[test]
    fn every_ending_is_taken_unless_globs_say_which() {
        let mut input = input();
        for key in [
            "part-00000-x",
            "0000_part_00",
            "c.txt",
            "x/d.tsv",
            "b.csv.gz",
        ] {
            let key = input.key("incoming", key);
            assert_eq!(input.takes(&key), Taken::Yes, "{key}");
        }
        assert_eq!(input.takes("a/incoming/_SUCCESS"), Taken::Marker);
        input.matches = serde_json::from_value(json!("*.csv")).expect("a glob");
        assert_eq!(input.takes("a/incoming/x/a.csv"), Taken::Yes);
        assert_eq!(input.takes("a/incoming/a.csv.bak"), Taken::Unmatched);
        // What all keys begin with is no part of it.
        input.matches = serde_json::from_value(json!("a*")).expect("a glob");
        assert_eq!(input.takes("a/incoming/b.csv"), Taken::Unmatched);
    }
}
