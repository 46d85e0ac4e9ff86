//! A worker dies before and after each outside call of one load, and another
//! finishes: no row is lost, no row is doubled, no file is left.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use nix::sys::signal::Signal;
use tokio::time::timeout;

use crate::proxy::{Call, Proxy, When};
use crate::world::{FILES, Target, World};

/// Deaths at once: much of a case is waiting, for statements and for the retry.
const AT_ONCE: usize = 12;
/// A load, on a busy machine.
const LONG: Duration = Duration::from_secs(180);
/// So long that no heartbeat lapses by itself: the scenario says when.
const HEARTBEAT: &str = "100s";
/// The last call of a load.
const REPORT: &str = "SendTaskSuccess";

/// A file that no warehouse takes: its third line has no number.
const BAD: (&str, &str) = ("bad 'x'+.csv", "8,80\n9,90\n10,ten\n");

/// How files are loaded, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// By statements of the loader's own; only good files.
    Statements,
    /// The same, with a bad file among them.
    Isolation,
    /// By the stored procedure, with a bad file.
    Procedure,
    /// One by one into a PostgreSQL, with a bad file.
    OneByOne,
}

impl Mode {
    fn config(self) -> &'static str {
        match self {
            Self::Statements | Self::Isolation => "warehouse: main",
            Self::Procedure => "warehouse: main, commit: procedure",
            Self::OneByOne => "warehouse: files",
        }
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    async fn land(self, target: &Target<'_>) {
        target.land(&FILES).await;
        if self != Self::Statements {
            target.land_bad(BAD).await;
        }
    }

    /// Nothing lost, nothing doubled, nothing left over; the bad file is where
    /// people look for it, with its place.
    async fn assert_done(self, target: &Target<'_>, what: &str) {
        let ledger = match self {
            Self::OneByOne => "stepfleet.files",
            _ => "stepfleet.ledger",
        };
        target.assert_loaded_once_by(ledger, what).await;
        if self == Self::Statements {
            assert!(target.keys("failed").await.is_empty(), "{what}");
            return;
        }
        let (name, report) = target.failed().await;
        assert_eq!(name, BAD.0, "{what}");
        let place = (report["line"].as_str(), report["column"].as_str());
        assert_eq!(place, (Some("3"), Some("amount")), "{what}: {report}");
        let file = report["file"].as_str().unwrap_or_default();
        assert!(
            file.ends_with(&format!("/incoming/{}", BAD.0)),
            "{what}: {file}"
        );
    }
}

/// Where a worker dies. Each has an activity and a table of its own.
#[derive(Debug, Clone)]
struct Death {
    mode: Mode,
    number: usize,
    call: Call,
    when: When,
}

impl Death {
    fn name(&self) -> String {
        format!("{}-{:?}{}", self.mode.name(), self.when, self.number).to_lowercase()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_loses_and_doubles_nothing() {
    let _alone = crate::MACHINE.lock().await;
    let mut world = World::start("crash", &["statements".to_owned()], ("0s", HEARTBEAT)).await;
    let calls = calls_of_a_load(&mut world, Mode::Statements).await;
    let deaths = (1..=calls.len()).flat_map(|number| {
        [When::Before, When::After].map(|when| Death {
            mode: Mode::Statements,
            call: Call::Number(number),
            number,
            when,
        })
    });
    let died = crash_all(&mut world, deaths.collect()).await;
    // Moves run side by side, so that their order varies; their kinds do not.
    let kinds: BTreeSet<&str> = calls.iter().map(String::as_str).collect();
    for when in [When::Before, When::After] {
        let died = died.iter().filter(|(of, _)| *of == when);
        let at: BTreeSet<&str> = died.map(|(_, call)| call.as_str()).collect();
        assert_eq!(at, kinds, "{when:?}");
    }
}

/// The other ways make many more calls: here a worker dies at the first one of
/// each kind. In memory, the loader's own tests let it die at every one. Of the
/// isolation by statements, whose calls are those of the procedure, a load in
/// which nothing happens is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_kind_of_call_of_any_way_loses_and_doubles_nothing() {
    let _alone = crate::MACHINE.lock().await;
    let mut world = World::start("ways", &["ways".to_owned()], ("0s", HEARTBEAT)).await;
    let mut modes = vec![Mode::Isolation, Mode::Procedure];
    if world.open_postgres().await {
        modes.push(Mode::OneByOne);
    }
    for mode in modes {
        let calls = calls_of_a_load(&mut world, mode).await;
        if mode == Mode::Isolation {
            continue;
        }
        let mut deaths: Vec<Death> = Vec::new();
        for (number, name) in (1..).zip(&calls) {
            let known = |death: &Death| death.call == Call::Named(name.clone());
            if !deaths.iter().any(known) {
                deaths.extend([When::Before, When::After].map(|when| Death {
                    mode,
                    call: Call::Named(name.clone()),
                    number,
                    when,
                }));
            }
        }
        crash_all(&mut world, deaths).await;
    }
}

/// Gives the calls at which the workers died.
async fn crash_all(world: &mut World, deaths: Vec<Death>) -> Vec<(When, String)> {
    let names: Vec<String> = deaths.iter().map(Death::name).collect();
    world.set_up_as(&names, deaths[0].mode.config()).await;
    let targets = world.targets(&tables(&names)).await;
    let world = &*world;
    let deaths = stream::iter(deaths.iter().zip(&targets))
        .map(async |(death, target)| (death.when, crash(world, target, death).await));
    deaths.buffer_unordered(AT_ONCE).collect().await
}

fn tables(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.replace('-', "_")).collect()
}

/// Every call of a load in which nothing happens, from the poll to the report.
async fn calls_of_a_load(world: &mut World, mode: Mode) -> Vec<String> {
    let name = mode.name();
    world
        .set_up_as(std::slice::from_ref(&name), mode.config())
        .await;
    let targets = world.targets(std::slice::from_ref(&name)).await;
    mode.land(&targets[0]).await;
    let proxy = Proxy::start(&world.endpoint, None).await;
    let execution = world.start_execution(&name, &targets[0].input()).await;
    let _worker = world.worker_at((&name, "only"), &proxy.url);
    let output = world.succeeded(&execution, LONG).await;
    let failed = i32::from(mode != Mode::Statements);
    assert_eq!(
        (
            &output["files"],
            &output["rows"],
            &output["moved"],
            &output["failed"]
        ),
        (&3.into(), &6.into(), &3.into(), &failed.into()),
        "{output}"
    );
    mode.assert_done(&targets[0], &name).await;
    let mut calls = proxy.calls();
    let report = calls.iter().position(|call| call == REPORT);
    calls.truncate(report.expect("a report") + 1);
    assert!(calls.len() > 15, "these are not all of them: {calls:?}");
    calls
}

/// One death and what comes after it; gives the call at which it was.
async fn crash(world: &World, target: &Target<'_>, death: &Death) -> String {
    let activity = death.name();
    death.mode.land(target).await;
    let hold = (death.call.clone(), death.when);
    let proxy = Proxy::start(&world.endpoint, Some(hold)).await;
    let execution = world.start_execution(&activity, &target.input()).await;
    let mut victim = world.worker_at((&activity, "victim"), &proxy.url);
    let Ok(call) = timeout(LONG, proxy.held()).await else {
        panic!("{activity}: only {:?}\n{}", proxy.calls(), victim.said());
    };
    victim.signal(Signal::SIGKILL);
    assert_eq!(victim.ended(LONG).await, None, "{activity}: it was killed");
    if let Some(token) = proxy.token() {
        world.lapse(&token).await;
    }
    drop(proxy);

    let what = format!(
        "{:?}, {:?} {:?}, {call}",
        death.mode, death.when, death.call
    );
    let _fresh = world.worker_at((&activity, "fresh"), &world.endpoint);
    world.succeeded(&execution, LONG).await;
    death.mode.assert_done(target, &what).await;
    call
}
