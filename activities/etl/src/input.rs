//! What one run is asked to load, and what it answers with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepfleet_activity::{ActivityError, Class, names};

/// How the files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values; keys end in `.csv`.
    Csv,
    /// JSON lines; keys end in `.json` or `.jsonl`.
    Json,
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
    /// The target, as `schema.table`.
    pub table: String,
    /// How the files are written.
    pub format: Format,
    /// Whether each CSV file begins with a line of names.
    #[serde(default)]
    pub header: bool,
    /// Whether the files are gzipped; their keys then end in `.gz`.
    #[serde(default)]
    pub gzip: bool,
    /// The columns in the files' order; without them, the table's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
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
    /// Whether somebody else is loading this table, so that nothing was done.
    pub held: bool,
}

/// The JSON Schema of the input.
pub(crate) fn schema() -> Value {
    schemars::schema_for!(LoadInput).to_value()
}

impl LoadInput {
    /// Everything that reaches SQL text is on an allow-list.
    pub(crate) fn check(&self) -> Result<(), ActivityError> {
        let bucket_ok = (3..=63).contains(&self.bucket.len())
            && self
                .bucket
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
        if !bucket_ok {
            return Err(bad("bucket", &self.bucket, "a bucket's name"));
        }
        let prefix_ok = self.prefix.len() <= 512
            && (self.prefix.is_empty() || self.prefix.ends_with('/'))
            && self.prefix.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'=' | b'!' | b'+')
            });
        if !prefix_ok {
            let allowed = "empty, or letters, digits and /-_.=!+ ending in /";
            return Err(bad("prefix", &self.prefix, allowed));
        }
        let parts: Vec<&str> = self.table.split('.').collect();
        if parts.len() != 2 || !parts.iter().all(|part| is_identifier(part)) {
            return Err(bad(
                "table",
                &self.table,
                "schema.table in letters, digits and _",
            ));
        }
        if let Some(column) = self.columns.iter().find(|column| !is_identifier(column)) {
            return Err(bad("columns", column, "a name in letters, digits and _"));
        }
        Ok(())
    }

    /// A key in one of the loader's folders.
    pub(crate) fn key(&self, folder: &str, rest: &str) -> String {
        format!("{}{folder}/{rest}", self.prefix)
    }

    /// Whether a key's end is that of the format.
    pub(crate) fn takes(&self, key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        let plain = match (self.gzip, key.strip_suffix(".gz")) {
            (true, Some(plain)) => plain,
            (false, None) => &key,
            _ => return false,
        };
        match self.format {
            Format::Csv => plain.ends_with(".csv"),
            Format::Json => plain.ends_with(".json") || plain.ends_with(".jsonl"),
        }
    }
}

fn bad(field: &str, found: &str, allowed: &str) -> ActivityError {
    ActivityError::named(
        names::BAD_INPUT,
        Class::Permanent,
        format!("{field}: {found:?} is not {allowed}"),
    )
}

fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text.len() <= 127
}

#[cfg(test)]
mod tests {
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
        let cases: [fn(&mut LoadInput); 8] = [
            |input| input.bucket = "a'b".into(),
            |input| input.bucket = "AB".into(),
            |input| input.prefix = "a'/".into(),
            |input| input.prefix = "a".into(),
            |input| input.table = "t".into(),
            |input| input.table = "public.t; drop".into(),
            |input| input.table = "public.\"t\"".into(),
            |input| input.columns = vec!["a".into(), "b)".into()],
        ];
        for (case, spoil) in cases.iter().enumerate() {
            let mut input = input();
            spoil(&mut input);
            let error = input.check().expect_err("refused");
            assert_eq!(error.name(), names::BAD_INPUT, "case {case}");
        }
    }

    #[test]
    fn only_the_formats_own_endings_are_taken() {
        let mut input = input();
        assert!(input.takes("incoming/a.csv") && !input.takes("incoming/a.csv.bak"));
        assert!(!input.takes("incoming/a.csv.gz") && !input.takes("incoming/a.csv.1"));
        input.gzip = true;
        assert!(input.takes("incoming/a.csv.gz") && !input.takes("incoming/a.csv"));
        (input.gzip, input.format) = (false, Format::Json);
        assert!(input.takes("x.jsonl") && input.takes("x.json") && !input.takes("x.csv"));
    }
}
