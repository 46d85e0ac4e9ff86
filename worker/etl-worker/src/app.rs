//! Which handlers this binary has, and how each is made.

use std::process::ExitCode;

use aws_config::SdkConfig;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use stepfleet_activity::HandlerSpec;
use stepfleet_activity::catalogue::{Activity, Catalogue};
use stepfleet_etl::{Clients, LoadInput, PlanInput, S3Load, S3Plan, setup};
use stepfleet_worker::cli::{App, BoxActivity, CommandCall, SetupOptions};
use stepfleet_worker::{BoxError, handler_fn};

use crate::{reprocess, trigger};

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
                "etl.s3-plan" => s3_plan(aws, catalogue, activity),
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
                s3: s3(aws),
                sfn: aws_sdk_sfn::Client::new(aws),
                cloudwatch: aws_sdk_cloudwatch::Client::new(aws),
                redshiftdata: aws_sdk_redshiftdata::Client::new(aws),
                secrets: aws_sdk_secretsmanager::Client::new(aws),
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

    fn commands(&self) -> Vec<clap::Command> {
        vec![reprocess::command(), trigger::command(), ddl()]
    }

    fn is_about_activities(&self, command: &str) -> bool {
        command == trigger::NAME
    }

    fn run_command<'a>(
        &'a self,
        call: CommandCall<'a>,
    ) -> BoxFuture<'a, Result<ExitCode, BoxError>> {
        async move {
            match call.name {
                reprocess::NAME => reprocess::run(call).await,
                trigger::NAME => trigger::run(call).await,
                _ => {
                    for statement in setup::ddl() {
                        println!("{statement};\n");
                    }
                    Ok(ExitCode::SUCCESS)
                }
            }
        }
        .boxed()
    }
}

fn ddl() -> clap::Command {
    clap::Command::new("ddl")
        .about("Print the SQL that setup runs in a warehouse, with stepfleet.load_batch_2")
        .after_help(
            "For warehouses in which the worker may not create anything: somebody who may runs this.

Example:
  etl-worker ddl --catalogue fleet.yaml > stepfleet.sql",
        )
}

/// Bucket names go into the path where an endpoint of one's own is set.
pub(crate) fn s3(aws: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(aws)
        .force_path_style(aws.endpoint_url().is_some())
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

fn clients(aws: &SdkConfig) -> Clients {
    Clients {
        s3: s3(aws),
        redshiftdata: aws_sdk_redshiftdata::Client::new(aws),
        cloudwatch: aws_sdk_cloudwatch::Client::new(aws),
        sns: aws_sdk_sns::Client::new(aws),
        secrets: aws_sdk_secretsmanager::Client::new(aws),
    }
}

fn s3_plan(
    aws: &SdkConfig,
    catalogue: &Catalogue,
    activity: &Activity,
) -> Result<BoxActivity, BoxError> {
    let plan = S3Plan::new(clients(aws), catalogue, activity)?;
    Ok(BoxActivity::new(handler_fn(
        move |input: Value, context| {
            let plan = plan.clone();
            async move { plan.run(PlanInput::read(&input)?, context).await }
        },
    )))
}

fn s3_load(
    aws: &SdkConfig,
    catalogue: &Catalogue,
    activity: &Activity,
) -> Result<BoxActivity, BoxError> {
    let load = S3Load::new(clients(aws), catalogue, activity)?;
    Ok(BoxActivity::new(handler_fn(
        move |input: Value, context| {
            let load = load.clone();
            async move { load.run(LoadInput::read(&input)?, context).await }
        },
    )))
}
