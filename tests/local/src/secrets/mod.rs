//! Secrets Manager: secrets, their versions and the labels on them.

mod requests;
mod secret;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use self::requests::{Create, Delete, Get, List, Named, Put};
use self::secret::{CURRENT, Secret, Version, seconds};
use crate::context::read;
use crate::{AwsError, Context};

/// How long a deleted secret can be restored, in days, unless it is said.
const WINDOW: i64 = 30;
/// Secrets on a page.
const PAGE: usize = 100;

/// All secrets. They end with the process.
pub struct Secrets {
    context: Context,
    /// By name.
    secrets: Mutex<BTreeMap<String, Secret>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// No secrets yet.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            secrets: Mutex::default(),
        }
    }

    /// Answers an operation.
    ///
    /// # Errors
    /// As Secrets Manager names them; an operation that is not here, by name.
    pub fn call(&self, operation: &str, body: Value) -> Result<Value, AwsError> {
        match operation {
            "CreateSecret" => self.create(read(body)?),
            "GetSecretValue" => self.get(&read(body)?),
            "PutSecretValue" => self.put(read(body)?),
            "DescribeSecret" => self.describe(&read(body)?),
            "DeleteSecret" => self.delete(&read(body)?),
            "RestoreSecret" => self.restore(&read(body)?),
            "ListSecrets" => self.list(&read(body)?),
            other => Err(AwsError::unknown_operation("Secrets Manager", other)),
        }
    }

    /// Makes the secret with this ARN, where there is none, whichever account
    /// it is of.
    ///
    /// # Errors
    /// It is not the ARN of a secret.
    pub fn provide(&self, arn: &str, value: &str) -> Result<(), AwsError> {
        let (_, resource) = arn.split_once(":secret:").unwrap_or_default();
        let suffixed = resource.rsplit_once('-').filter(|(_, end)| end.len() == 6);
        let name = suffixed.map_or(resource, |(name, _)| name);
        requests::check_name(name)?;
        let mut secrets = self.lock();
        let now = self.context.clock.now();
        secrets.entry(name.to_owned()).or_insert_with(|| {
            let mut secret = Secret::new(arn.to_owned(), name, now);
            let version = Version::of_text(value, now);
            secret.add(&token(None), version, &[CURRENT.to_owned()]);
            secret
        });
        Ok(())
    }

    /// Without those whose time to be restored is over.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.context.clock.now();
        secrets.retain(|_, secret| secret.gone.is_none_or(|gone| gone > now));
        secrets
    }

    fn create(&self, input: Create) -> Result<Value, AwsError> {
        requests::check_name(&input.name)?;
        let id = checked_token(input.client_request_token.as_deref())?;
        let now = self.context.clock.now();
        let version = Version::read(input.secret_string, input.secret_binary, now)?;
        let mut secrets = self.lock();
        if let Some(known) = secrets.get(&input.name) {
            if known.gone.is_some() {
                return Err(invalid_request(
                    "You can't create this secret because a secret with this name is already \
                     scheduled for deletion.",
                ));
            }
            // The same call again is answered as the first one was.
            if known.has(&id, version.as_ref()) {
                return Ok(known.named(Some(&id)));
            }
            return Err(exists(&format!(
                "The operation failed because the secret {} already exists.",
                input.name
            )));
        }
        let suffix = &uuid::Uuid::new_v4().simple().to_string()[..6];
        let resource = format!("secret:{}-{suffix}", input.name);
        let arn = self.context.arn("secretsmanager", &resource);
        let mut secret = Secret::new(arn, &input.name, now);
        secret.description = input.description;
        secret.tags = input.tags;
        let made = version.is_some().then_some(id.as_str());
        let mut output = secret.named(made);
        if let Some(version) = version {
            secret.add(&id, version, &[CURRENT.to_owned()]);
        }
        output["ARN"] = secret.arn.as_str().into();
        secrets.insert(input.name, secret);
        Ok(output)
    }

    fn get(&self, input: &Get) -> Result<Value, AwsError> {
        let now = self.context.clock.now();
        let mut secrets = self.lock();
        let secret = find(&mut secrets, &input.secret_id)?;
        check_kept(secret)?;
        let wanted = (input.version_id.as_deref(), input.version_stage.as_deref());
        let output = secret.told(wanted)?;
        secret.accessed = Some(now);
        Ok(output)
    }

    fn put(&self, input: Put) -> Result<Value, AwsError> {
        let id = checked_token(input.client_request_token.as_deref())?;
        let now = self.context.clock.now();
        let version = Version::read(input.secret_string, input.secret_binary, now)?;
        let version = version.ok_or_else(|| {
            invalid_parameter("You must provide either SecretString or SecretBinary.")
        })?;
        let mut secrets = self.lock();
        let secret = find(&mut secrets, &input.secret_id)?;
        check_kept(secret)?;
        if !secret.has(&id, Some(&version)) {
            if secret.versions.contains_key(&id) {
                return Err(exists(
                    "You can't modify an existing version, you can only create a new version.",
                ));
            }
            secret.add(&id, version, &input.version_stages);
            secret.changed = now;
        }
        let mut output = secret.named(Some(&id));
        output["VersionStages"] = json!(secret.stages(&id));
        Ok(output)
    }

    fn describe(&self, input: &Named) -> Result<Value, AwsError> {
        let mut secrets = self.lock();
        find(&mut secrets, &input.secret_id).map(|secret| secret.described("VersionIdsToStages"))
    }

    fn delete(&self, input: &Delete) -> Result<Value, AwsError> {
        let now = self.context.clock.now();
        let forced = input.force_delete_without_recovery.unwrap_or(false);
        let days = input.recovery_window_in_days;
        if forced && days.is_some() {
            return Err(invalid_parameter(
                "You can't use ForceDeleteWithoutRecovery in conjunction with \
                 RecoveryWindowInDays.",
            ));
        }
        let days = days.unwrap_or(WINDOW);
        if !(7..=WINDOW).contains(&days) {
            return Err(invalid_parameter(&format!(
                "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive), not {days}"
            )));
        }
        let mut secrets = self.lock();
        let found = find(&mut secrets, &input.secret_id);
        if forced {
            // One that is not there is gone as well.
            let (arn, name) = found.map_or_else(
                |_| (input.secret_id.clone(), input.secret_id.clone()),
                |secret| (secret.arn.clone(), secret.name.clone()),
            );
            secrets.remove(&name);
            return Ok(json!({"ARN": arn, "Name": name, "DeletionDate": seconds(now)}));
        }
        let secret = found?;
        check_kept(secret)?;
        let gone = now + jiff::SignedDuration::from_hours(24 * days);
        secret.gone = Some(gone);
        secret.deleted = Some(now);
        let mut output = secret.named(None);
        output["DeletionDate"] = json!(seconds(gone));
        Ok(output)
    }

    fn restore(&self, input: &Named) -> Result<Value, AwsError> {
        let mut secrets = self.lock();
        let secret = find(&mut secrets, &input.secret_id)?;
        secret.gone = None;
        secret.deleted = None;
        Ok(secret.named(None))
    }

    fn list(&self, input: &List) -> Result<Value, AwsError> {
        let most = input.max_results.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&most) {
            return Err(invalid_parameter(&format!(
                "MaxResults is 1 to {PAGE}, not {most}"
            )));
        }
        let all = input.include_planned_deletion.unwrap_or(false);
        let after = input.next_token.as_deref();
        let secrets = self.lock();
        let mut found = secrets.values().filter(|secret| {
            (all || secret.gone.is_none()) && after.is_none_or(|after| secret.name.as_str() > after)
        });
        let page: Vec<&Secret> = found.by_ref().take(most).collect();
        let shown = page
            .iter()
            .map(|secret| secret.described("SecretVersionsToStages"));
        let mut output = json!({"SecretList": shown.collect::<Vec<_>>()});
        if found.next().is_some()
            && let Some(last) = page.last()
        {
            output["NextToken"] = last.name.as_str().into();
        }
        Ok(output)
    }
}

/// By its name, its ARN, or its ARN without the six characters at its end.
fn find<'a>(
    secrets: &'a mut BTreeMap<String, Secret>,
    id: &str,
) -> Result<&'a mut Secret, AwsError> {
    let is = |secret: &Secret| {
        let partial = secret.arn.rsplit_once('-').map(|(front, _)| front);
        secret.name == id || secret.arn == id || partial == Some(id)
    };
    let found = secrets.values_mut().find(|secret| is(secret));
    found.ok_or_else(|| {
        AwsError::new(
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )
    })
}

fn check_kept(secret: &Secret) -> Result<(), AwsError> {
    if secret.gone.is_none() {
        return Ok(());
    }
    Err(invalid_request(
        "You can't perform this operation on the secret because it was marked for deletion.",
    ))
}

/// The id of the version that a call makes.
fn token(given: Option<&str>) -> String {
    given.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}

fn checked_token(given: Option<&str>) -> Result<String, AwsError> {
    if given.is_some_and(|given| !(32..=64).contains(&given.len())) {
        return Err(invalid_parameter(
            "You must provide a ClientRequestToken value between 32 and 64 characters long.",
        ));
    }
    Ok(token(given))
}

fn invalid_parameter(message: &str) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

fn invalid_request(message: &str) -> AwsError {
    AwsError::new("InvalidRequestException", message)
}

fn exists(message: &str) -> AwsError {
    AwsError::new("ResourceExistsException", message)
}

#[cfg(test)]
mod tests;
