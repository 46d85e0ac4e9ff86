//! `resize-worker`: Redshift-resize activities. It has no handler yet and says so.

use std::process::ExitCode;

use aws_config::SdkConfig;
use futures::FutureExt;
use futures::future::BoxFuture;
use stepfleet_activity::HandlerSpec;
use stepfleet_activity::catalogue::{Activity, Catalogue};
use stepfleet_worker::BoxError;
use stepfleet_worker::cli::{App, BoxActivity, SetupOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Resize;

impl App for Resize {
    fn name(&self) -> &'static str {
        "resize-worker"
    }

    fn about(&self) -> &'static str {
        "Runs Redshift-resize activities. It has no handler yet."
    }

    fn areas(&self) -> &'static [&'static str] {
        &["resize"]
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
        let text = format!("no handler {:?} here", activity.handler);
        async { Err(text.into()) }.boxed()
    }

    fn setup<'a>(
        &'a self,
        _: &'a SdkConfig,
        _: &'a Catalogue,
        _: &'a SetupOptions,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            println!("resize-worker has no handler yet, so there is nothing to set up");
            Ok(())
        }
        .boxed()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    stepfleet_worker::cli::main(Resize).await
}
