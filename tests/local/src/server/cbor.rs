//! Smithy RPC v2 CBOR, as the Rust SDK speaks to CloudWatch.

use axum::body::Body;
use ciborium::Value as Cbor;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Number, Value};

use super::{Services, body, respond, status};
use crate::AwsError;

const KIND: &str = "application/cbor";
/// "Epoch-based date/time" of RFC 8949.
const TIMESTAMP_TAG: u64 = 1;

/// Answers `/service/GraniteServiceVersion20100801/operation/<operation>`.
pub(super) async fn answer(
    services: &Services,
    operation: &str,
    request: Request<Body>,
) -> Response<Body> {
    let result = match body(request).await.and_then(|bytes| decode(&bytes)) {
        Ok(input) => services.cloudwatch.call(operation, input),
        Err(error) => Err(error),
    };
    match result {
        Ok(output) => written(StatusCode::OK, &output),
        Err(error) => refusal(error),
    }
}

/// An error in this protocol's form.
pub(super) fn refusal(error: AwsError) -> Response<Body> {
    let status = status(&error);
    let mut shape = error.fields;
    shape.insert("__type".to_owned(), error.code.into());
    shape.insert("message".to_owned(), error.message.into());
    written(status, &Value::Object(shape))
}

fn written(status: StatusCode, shape: &Value) -> Response<Body> {
    let mut response = match encode(shape) {
        Ok(bytes) => respond(status, KIND, bytes),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, KIND, error),
    };
    response
        .headers_mut()
        .insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    response
}

pub(super) fn decode(bytes: &[u8]) -> Result<Value, AwsError> {
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let refused = |what: String| AwsError::new("SerializationException", what);
    let cbor: Cbor = ciborium::from_reader(bytes)
        .map_err(|error| refused(format!("the body is not CBOR: {error}")))?;
    to_json(cbor).map_err(|what| refused(format!("the body has {what}, which no operation takes")))
}

fn to_json(cbor: Cbor) -> Result<Value, &'static str> {
    Ok(match cbor {
        Cbor::Null => Value::Null,
        Cbor::Bool(value) => value.into(),
        Cbor::Text(value) => value.into(),
        Cbor::Float(value) => Number::from_f64(value)
            .map(Value::Number)
            .ok_or("a number that is not finite")?,
        Cbor::Integer(value) => i64::try_from(value)
            .map_err(|_| "a number beyond 64 bits")?
            .into(),
        Cbor::Tag(TIMESTAMP_TAG, value) => to_json(*value)?,
        Cbor::Array(items) => items.into_iter().map(to_json).collect::<Result<_, _>>()?,
        Cbor::Map(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let key = key.into_text().map_err(|_| "a key that is no text")?;
                    Ok((key, to_json(value)?))
                })
                .collect::<Result<_, &'static str>>()?,
        ),
        _ => return Err("a kind of value"),
    })
}

fn encode(shape: &Value) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&to_cbor("", shape), &mut bytes)
        .map_err(|error| format!("the answer cannot be written as CBOR: {error}"))?;
    Ok(bytes)
}

/// JSON has no timestamps: CloudWatch's are known by their names, all of which
/// end alike.
fn to_cbor(name: &str, value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(value) => Cbor::Bool(*value),
        Value::String(value) => Cbor::Text(value.clone()),
        Value::Number(number) => {
            let number = to_number(number);
            if name.ends_with("Timestamp") || name == "Timestamps" {
                Cbor::Tag(TIMESTAMP_TAG, Box::new(number))
            } else {
                number
            }
        }
        Value::Array(items) => Cbor::Array(items.iter().map(|item| to_cbor(name, item)).collect()),
        Value::Object(members) => Cbor::Map(
            members
                .iter()
                .map(|(key, value)| (Cbor::Text(key.clone()), to_cbor(key, value)))
                .collect(),
        ),
    }
}

fn to_number(number: &Number) -> Cbor {
    match number.as_i64() {
        Some(whole) => Cbor::Integer(whole.into()),
        None => Cbor::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_of_no_stated_length_are_read() {
        // {_ "Values": [_ 1(1.5), 2]}
        let bytes = [
            0xbf, 0x66, b'V', b'a', b'l', b'u', b'e', b's', 0x9f, 0xc1, 0xf9, 0x3e, 0x00, 0x02,
            0xff, 0xff,
        ];
        assert_eq!(decode(&bytes).unwrap(), json!({"Values": [1.5, 2]}));
    }

    #[test]
    fn only_timestamps_are_tagged() {
        let cbor = to_cbor("", &json!({"Timestamps": [1.5], "Values": [2.0]}));
        assert_eq!(
            cbor,
            Cbor::Map(vec![
                (
                    "Timestamps".into(),
                    Cbor::Array(vec![Cbor::Tag(1, Box::new(Cbor::Float(1.5)))])
                ),
                ("Values".into(), Cbor::Array(vec![Cbor::Float(2.0)])),
            ])
        );
    }

    #[test]
    fn what_is_not_cbor_is_refused() {
        assert_eq!(decode(&[0xff]).unwrap_err().code, "SerializationException");
    }
}
