//! Large outputs in S3. The only file that names `aws_sdk_s3`.

use aws_config::SdkConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::{Client, config};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::output::OutputStore;
use crate::sfn::BoxError;

/// Outputs as objects in S3.
#[derive(Debug, Clone)]
pub struct S3Outputs(Client);

impl S3Outputs {
    /// A client for the given configuration; bucket names go into the path where
    /// an endpoint of one's own is set.
    pub fn new(aws: &SdkConfig) -> Self {
        let config = config::Builder::from(aws)
            .force_path_style(aws.endpoint_url().is_some())
            .build();
        Self(Client::from_conf(config))
    }
}

impl OutputStore for S3Outputs {
    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        body: Vec<u8>,
    ) -> BoxFuture<'a, Result<String, BoxError>> {
        async move {
            let put = self.0.put_object().bucket(bucket).key(key);
            let put = put
                .content_type("application/json")
                .body(ByteStream::from(body));
            let stored = put.send().await?;
            Ok(stored.e_tag.unwrap_or_default())
        }
        .boxed()
    }
}
