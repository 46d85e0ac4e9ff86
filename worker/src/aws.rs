//! The AWS configuration of a worker that was given none.

use aws_config::meta::region::RegionProviderChain;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;

use crate::sfn::chain;
use crate::worker::RunError;

/// The environment's configuration; the region is the ARN's where nothing says one.
pub(crate) async fn load_config(arn: &str) -> SdkConfig {
    let region = arn
        .split(':')
        .nth(3)
        .map(|region| Region::new(region.to_owned()));
    let region = RegionProviderChain::default_provider().or_else(region);
    let loader = aws_config::defaults(BehaviorVersion::latest()).region(region);
    loader.load().await
}

pub(crate) async fn check_credentials(aws: &SdkConfig) -> Result<(), RunError> {
    let Some(provider) = aws.credentials_provider() else {
        return Err(RunError::Credentials("none are configured".to_owned()));
    };
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(error) => Err(RunError::Credentials(chain(&error))),
    }
}
