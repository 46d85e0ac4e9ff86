//! Which handlers this binary has, and how each is made.

use aws_config::SdkConfig;
use futures::FutureExt;
use futures::future::BoxFuture;
use stepfleet_activity::HandlerSpec;
use stepfleet_activity::catalogue::{Activity, Catalogue};
use stepfleet_worker::BoxError;
use stepfleet_worker::cli::{App, BoxActivity};

/// The ETL activities.
pub(crate) struct Etl;

impl App for Etl {
    fn name(&self) -> &'static str {
        "etl-worker"
    }

    fn about(&self) -> &'static str {
        "Runs the ETL activities of a catalogue"
    }

    fn handlers(&self) -> Vec<HandlerSpec> {
        Vec::new()
    }

    fn activity<'a>(
        &'a self,
        _: &'a SdkConfig,
        _: &'a Catalogue,
        activity: &'a Activity,
    ) -> BoxFuture<'a, Result<BoxActivity, BoxError>> {
        async move {
            match activity.handler.as_str() {
                other => Err(format!("no handler {other:?} in this binary").into()),
            }
        }
        .boxed()
    }

    fn setup<'a>(
        &'a self,
        _: &'a SdkConfig,
        _: &'a Catalogue,
        _: bool,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        async { Err("setup is not in this build".into()) }.boxed()
    }
}
