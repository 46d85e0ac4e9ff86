//! Which handlers this binary has, and how each is made.

use aws_config::SdkConfig;
use futures::FutureExt;
use futures::future::BoxFuture;
use stepfleet_activity::HandlerSpec;
use stepfleet_activity::catalogue::{Activity, Catalogue};
use stepfleet_etl::{Clients, S3Load, setup};
use stepfleet_worker::cli::{App, BoxActivity, SetupOptions};
use stepfleet_worker::{BoxError, handler_fn};

/// The ETL activities.
pub(crate) struct Etl;

impl App for Etl {
    fn name(&self) -> &'static str {
        "etl-worker"
    }

    fn about(&self) -> &'static str {
        "Runs the ETL activities of a catalogue"
    }

    fn areas(&self) -> &'static [&'static str] {
        &["etl"]
    }

    fn handlers(&self) -> Vec<HandlerSpec> {
        stepfleet_etl::handlers()
    }

    fn activity<'a>(
        &'a self,
        aws: &'a SdkConfig,
        catalogue: &'a Catalogue,
        activity: &'a Activity,
    ) -> BoxFuture<'a, Result<BoxActivity, BoxError>> {
        async move {
            match activity.handler.as_str() {
                "etl.s3-load" => s3_load(aws, catalogue, activity),
                other => Err(format!("no handler {other:?} in this binary").into()),
            }
        }
        .boxed()
    }

    fn setup<'a>(
        &'a self,
        aws: &'a SdkConfig,
        catalogue: &'a Catalogue,
        options: &'a SetupOptions,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        async move {
            let clients = setup::Clients {
                sfn: aws_sdk_sfn::Client::new(aws),
                redshiftdata: aws_sdk_redshiftdata::Client::new(aws),
            };
            for step in setup::plan(catalogue, options.role_arn.as_deref()) {
                if options.dry_run {
                    println!("would {step}");
                } else {
                    step.take(&clients).await?;
                    println!("done: {step}");
                }
            }
            Ok(())
        }
        .boxed()
    }
}

fn s3_load(
    aws: &SdkConfig,
    catalogue: &Catalogue,
    activity: &Activity,
) -> Result<BoxActivity, BoxError> {
    // Bucket names go into the path where an endpoint of one's own is set.
    let s3 = aws_sdk_s3::config::Builder::from(aws)
        .force_path_style(aws.endpoint_url().is_some())
        .build();
    let clients = Clients {
        s3: aws_sdk_s3::Client::from_conf(s3),
        redshiftdata: aws_sdk_redshiftdata::Client::new(aws),
        cloudwatch: aws_sdk_cloudwatch::Client::new(aws),
    };
    let load = S3Load::new(clients, catalogue, activity)?;
    Ok(BoxActivity::new(handler_fn(move |input, context| {
        let load = load.clone();
        async move { load.run(input, context).await }
    })))
}
