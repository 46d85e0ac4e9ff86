//! The services that Task states call, in this process.

mod form;
mod objects;
#[cfg(test)]
mod tests;
mod xml;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::AwsError;
use crate::cloudwatch::CloudWatch;
use crate::server::{HttpService, JsonService};
use crate::sfn::integration::{Integrations, Service};
use crate::sns::Sns;
use crate::sqs::Sqs;

/// All but Step Functions, which calls itself.
pub(super) struct Others {
    pub(super) cloudwatch: Arc<CloudWatch>,
    pub(super) sns: Arc<Sns>,
    pub(super) sqs: Arc<Sqs>,
    pub(super) s3: Arc<dyn HttpService>,
    pub(super) redshift: Arc<dyn JsonService>,
}

impl fmt::Debug for Others {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Others").finish_non_exhaustive()
    }
}

#[async_trait]
impl Integrations for Others {
    async fn call(
        &self,
        service: Service,
        operation: &str,
        input: Value,
    ) -> Result<Value, AwsError> {
        match service {
            Service::CloudWatch => self.cloudwatch.call(operation, input),
            Service::Sqs => self.sqs.call(operation, input).await,
            Service::RedshiftData => self.redshift.call(operation, input).await,
            Service::S3 => objects::call(&*self.s3, operation, input).await,
            Service::Sns => {
                let xml = self.sns.call(operation, form::of(&input))?;
                xml::read(&xml)
            }
            Service::StepFunctions => Err(AwsError::unknown_operation("Step Functions", operation)),
        }
    }
}
