//! A worker that is told to stop while its poll is open runs what the poll
//! brings: a poll that were cut would take its task along.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::world::{FILES, World};

/// A poll stays open for 60 s at most; a lost task would wait for 100 s.
const SOON: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_during_an_open_poll_loses_no_task() {
    let world = World::start("drain", &["load".to_owned()], ("0s", "100s")).await;
    let targets = world.targets(&["one".to_owned(), "two".to_owned()]).await;
    let mut leaves = world.worker("load", "leaves").await;
    // Its poll is the older one, so that the first task goes there.
    let mut stays = world.worker("load", "stays").await;

    leaves.process.signal(Signal::SIGTERM);
    let draining = |load: &serde_json::Value| load["draining"] == true;
    let load = leaves.wait_for("the drain", draining).await;
    assert_eq!(load["polls_open"], 1, "the poll stays open: {load}");

    for (target, by) in targets.iter().zip(["load-leaves", "load-stays"]) {
        target.land(&FILES).await;
        let execution = world.start_execution("load", &target.input()).await;
        let output = world.succeeded(&execution, SOON).await;
        assert_eq!(output["rows"], 6, "{output}");
        let attempts = world.attempts(&execution).await;
        assert_eq!(attempts, [by], "it was not lost");
        target.assert_loaded_once("after the drain").await;
    }
    let ended = leaves.process.ended(SOON).await;
    assert_eq!(ended, Some(0), "{}", leaves.process.said());

    stays.process.signal(Signal::SIGTERM);
    stays.wait_for("the drain", draining).await;
    world.start_execution("load", &targets[0].input()).await;
    let ended = stays.process.ended(SOON).await;
    assert_eq!(ended, Some(0), "{}", stays.process.said());
}
