//! STS: who am I.

use crate::server::query::element;
use crate::{AwsError, Context};

/// The inside of an operation's result, as XML.
///
/// # Errors
/// An operation that is not here, by name.
pub fn call(context: &Context, action: &str) -> Result<String, AwsError> {
    if action != "GetCallerIdentity" {
        return Err(AwsError::unknown_operation("STS", action));
    }
    let mut xml = String::new();
    let arn = format!("arn:aws:iam::{}:root", context.account);
    element(&mut xml, "Arn", &arn);
    element(&mut xml, "UserId", &context.account);
    element(&mut xml, "Account", &context.account);
    Ok(xml)
}
