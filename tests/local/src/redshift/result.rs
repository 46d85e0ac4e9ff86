//! Result sets in the Data API's form.

use serde_json::{Value, json};
use tokio_postgres::types::Type;
use tokio_postgres::{Column, SimpleQueryRow};

/// The most that the values of a result may have (Data API considerations).
const MAX_RESULT: usize = 500 * 1024 * 1024;
/// The most that the values of a row may have.
const MAX_ROW: usize = 64 * 1024;

/// A result set: columns with their types, and values as texts.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    columns: Vec<(String, Type, i32)>,
    values: Vec<Vec<Option<String>>>,
    size: usize,
}

impl Rows {
    /// No rows of these columns yet.
    pub(super) fn new(columns: &[Column]) -> Self {
        let column = |column: &Column| {
            (
                column.name().to_owned(),
                column.type_().clone(),
                column.type_modifier(),
            )
        };
        Self {
            columns: columns.iter().map(column).collect(),
            values: Vec::new(),
            size: 0,
        }
    }

    /// Takes over a row that PostgreSQL gave.
    ///
    /// # Errors
    /// If it, or all together, are more than the Data API answers.
    pub(super) fn add(&mut self, row: &SimpleQueryRow) -> Result<(), String> {
        let values = 0..self.columns.len();
        self.take(values.map(|at| row.get(at).map(str::to_owned)).collect())
    }

    fn take(&mut self, row: Vec<Option<String>>) -> Result<(), String> {
        let size: usize = row.iter().flatten().map(String::len).sum();
        if size > MAX_ROW {
            return Err(format!(
                "a row of the result has {size} bytes; at most {MAX_ROW} are allowed"
            ));
        }
        self.size += size;
        if self.size > MAX_RESULT {
            return Err(format!("the result has more than {MAX_RESULT} bytes"));
        }
        self.values.push(row);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Bytes of all values, as `ResultSize` counts them.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A page of `GetStatementResult`.
    pub(super) fn page(&self, from: usize, count: usize) -> Value {
        let records: Vec<Value> = self
            .values
            .iter()
            .skip(from)
            .take(count)
            .map(|row| self.record(row))
            .collect();
        let metadata: Vec<Value> = self.columns.iter().map(metadata).collect();
        json!({"Records": records, "ColumnMetadata": metadata, "TotalNumRows": self.len()})
    }

    fn record(&self, row: &[Option<String>]) -> Value {
        row.iter()
            .zip(&self.columns)
            .map(|(value, (_, kind, _))| field(value.as_deref(), kind))
            .collect()
    }
}

/// A column as JDBC's metadata, where the Data API has it from.
fn metadata((name, kind, modifier): &(String, Type, i32)) -> Value {
    let (precision, scale) = precision(kind, *modifier);
    let text = matches!(
        *kind,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::JSONB
    );
    let signed = matches!(
        *kind,
        Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC
    );
    json!({
        "name": name, "label": name, "typeName": type_name(kind), "nullable": 1, "precision": precision, "scale": scale,
        "length": 0, "isSigned": signed, "isCaseSensitive": text, "isCurrency": false, "schemaName": "", "tableName": "",
    })
}

/// Digits, or the length of a text; and the digits after the point.
fn precision(kind: &Type, modifier: i32) -> (i32, i32) {
    // PostgreSQL adds 4 to what was written, and has -1 for nothing.
    let written = modifier.checked_sub(4).filter(|written| *written >= 0);
    match *kind {
        Type::BOOL => (1, 0),
        Type::INT2 => (5, 0),
        Type::INT4 => (10, 0),
        Type::INT8 => (19, 0),
        Type::FLOAT4 => (8, 8),
        Type::FLOAT8 => (17, 17),
        Type::DATE => (13, 0),
        Type::TIMESTAMP => (29, 6),
        Type::TIMESTAMPTZ => (35, 6),
        Type::NUMERIC => written.map_or((0, 0), |written| (written >> 16, written & 0xffff)),
        _ => (written.unwrap_or(i32::MAX), 0),
    }
}

/// Redshift has neither text nor jsonb.
fn type_name(kind: &Type) -> &str {
    match *kind {
        Type::TEXT => "varchar",
        Type::JSONB => "super",
        _ => kind.name(),
    }
}

/// The typed union. Numerics are texts, as in Redshift, so that no digit is lost.
fn field(value: Option<&str>, kind: &Type) -> Value {
    let Some(text) = value else {
        return json!({"isNull": true});
    };
    match *kind {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => text.parse::<i64>().map_or_else(
            |_| json!({"stringValue": text}),
            |number| json!({"longValue": number}),
        ),
        // NaN and Infinity are texts in JSON too.
        Type::FLOAT4 | Type::FLOAT8 => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => json!({"doubleValue": number}),
            _ => json!({"doubleValue": text}),
        },
        Type::BOOL => json!({"booleanValue": text == "t"}),
        _ => json!({"stringValue": text}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_its_limits() {
        let mut rows = Rows::new(&[]);
        let row = |bytes: usize| vec![Some("x".repeat(bytes)), None];
        assert!(rows.take(row(MAX_ROW)).is_ok());
        let long = rows.take(row(MAX_ROW + 1)).expect_err("too long");
        assert!(long.contains("65537 bytes"), "{long}");
        assert_eq!((rows.len(), rows.size()), (1, MAX_ROW));
        rows.size = MAX_RESULT - 1;
        assert!(rows.take(row(1)).is_ok());
        assert!(rows.take(row(1)).is_err());
    }

    #[test]
    fn columns_have_their_precision() {
        for (kind, modifier, wanted) in [
            (Type::NUMERIC, ((10 << 16) | 2) + 4, (10, 2)),
            (Type::NUMERIC, -1, (0, 0)),
            (Type::VARCHAR, 12, (8, 0)),
            (Type::INT4, -1, (10, 0)),
            (Type::TIMESTAMP, -1, (29, 6)),
        ] {
            assert_eq!(precision(&kind, modifier), wanted, "{kind}");
        }
    }

    #[test]
    fn values_are_typed_as_the_data_api_does() {
        let cases = [
            (None, Type::INT8, json!({"isNull": true})),
            (
                Some("9007199254740993"),
                Type::INT8,
                json!({"longValue": 9_007_199_254_740_993_i64}),
            ),
            (Some("1.5"), Type::FLOAT8, json!({"doubleValue": 1.5})),
            (
                Some("-Infinity"),
                Type::FLOAT8,
                json!({"doubleValue": "-Infinity"}),
            ),
            (Some("t"), Type::BOOL, json!({"booleanValue": true})),
            (Some("1.10"), Type::NUMERIC, json!({"stringValue": "1.10"})),
            (Some(""), Type::VARCHAR, json!({"stringValue": ""})),
        ];
        for (value, kind, want) in cases {
            assert_eq!(field(value, &kind), want, "{value:?} {kind}");
        }
    }
}
