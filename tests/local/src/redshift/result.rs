//! Result sets in the Data API's form.

use serde_json::{Value, json};
use tokio_postgres::types::Type;
use tokio_postgres::{Column, SimpleQueryRow};

/// A result set: columns with their types, and values as texts.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    columns: Vec<(String, Type)>,
    values: Vec<Vec<Option<String>>>,
}

impl Rows {
    /// Takes over what PostgreSQL gave.
    pub(super) fn new(columns: &[Column], rows: &[SimpleQueryRow]) -> Self {
        let columns: Vec<_> = columns
            .iter()
            .map(|column| (column.name().to_owned(), column.type_().clone()))
            .collect();
        let values = rows
            .iter()
            .map(|row| {
                (0..columns.len())
                    .map(|at| row.get(at).map(str::to_owned))
                    .collect()
            })
            .collect();
        Self { columns, values }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Bytes of all values, as `ResultSize` counts them.
    pub(super) fn size(&self) -> usize {
        self.values
            .iter()
            .flatten()
            .flatten()
            .map(String::len)
            .sum()
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
        let column = |(name, kind): &(String, Type)| json!({"name": name, "label": name, "typeName": type_name(kind), "nullable": 1});
        let metadata: Vec<Value> = self.columns.iter().map(column).collect();
        json!({"Records": records, "ColumnMetadata": metadata, "TotalNumRows": self.len()})
    }

    fn record(&self, row: &[Option<String>]) -> Value {
        row.iter()
            .zip(&self.columns)
            .map(|(value, (_, kind))| field(value.as_deref(), kind))
            .collect()
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
