//! The loader's secrets: the only file that names Secrets Manager's SDK. What
//! a secret says stands in no error, no `Debug` and no log.

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::Deserialize;
use stepfleet_activity::Class;

use crate::outside::Answer;
use crate::outside::call::{CallError, chain, failed};

/// The Secrets Manager client that the loader is given.
pub(crate) type Client = aws_sdk_secretsmanager::Client;

/// Whom a database knows. In a secret it is as RDS writes it; what else stands
/// there (host, port, engine) is the catalogue's to say.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Credentials {
    #[serde(rename = "username")]
    pub(crate) user: String,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What a secret says now.
pub(crate) async fn credentials(client: &Client, arn: &str) -> Answer<Credentials> {
    let what = || format!("read the secret {arn}");
    let got = client.get_secret_value().secret_id(arn).send().await;
    let got = got.map_err(|error| CallError {
        reason: reason(&error),
        ..failed(what(), &error)
    })?;
    parse(got.secret_string().unwrap_or_default()).ok_or_else(|| CallError {
        what: what(),
        reason: "it is not JSON with the texts `username` and `password`, as RDS writes it"
            .to_owned(),
        class: Class::Permanent,
    })
}

/// A parser's error would repeat what it has read.
fn parse(text: &str) -> Option<Credentials> {
    let credentials: Credentials = serde_json::from_str(text).ok()?;
    let whole = !credentials.user.is_empty() && credentials.password.is_some();
    whole.then_some(credentials)
}

/// Without the answer's body, which may be the secret.
fn reason<E, R>(error: &SdkError<E, R>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
    R: fmt::Debug,
{
    match error {
        SdkError::ServiceError(service) => {
            let service = service.err();
            let code = service.code().unwrap_or("an error without a name");
            format!("{code}: {}", service.message().unwrap_or_default())
        }
        SdkError::ResponseError(_) => "the answer cannot be read".to_owned(),
        other => chain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_as_rds_writes_it() {
        for (text, want) in [
            (
                r#"{"engine":"postgres","host":"db","port":5432,"username":"u","password":"hunter2"}"#,
                Some("u"),
            ),
            (r#"{"username":"u"}"#, None),
            (r#"{"username":"","password":"hunter2"}"#, None),
            (r#"{"username":"u","password":7}"#, None),
            (r#"{"password":"hunter2"}"#, None),
            ("hunter2", None),
            ("", None),
        ] {
            let read = parse(text);
            let user = read.as_ref().map(|read| read.user.as_str());
            assert_eq!(user, want, "{text}");
            assert!(!format!("{read:?}").contains("hunter2"), "{read:?}");
        }
    }
}
