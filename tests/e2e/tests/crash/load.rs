//! The loader, in every mode.

use futures::{StreamExt as _, stream};
use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::{AT_ONCE, HEARTBEAT, LONG, REPORT, assert_everywhere, everywhere};
use crate::gate::{Call, When};
use crate::notices::Notices;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::target::Target;
use crate::wire::Wire;
use crate::world::{FILES, World};

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
    fn config(self, notices: &Notices) -> String {
        let how = match self {
            Self::Statements | Self::Isolation => "warehouse: main",
            Self::Procedure => "warehouse: main, commit: procedure",
            Self::OneByOne => "warehouse: files",
        };
        let notify = format!("notify: {{topic: \"{}\"}}", notices.topic);
        format!("{how}, {notify}, on_failed: succeed")
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

/// What a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Aws,
    /// The database itself, inside a transaction and around it.
    Postgres,
}

/// Where a worker dies. Each has an activity and a table of its own.
#[derive(Debug, Clone, Copy)]
struct Death {
    mode: Mode,
    to: To,
    number: usize,
    when: When,
}

impl Death {
    fn name(&self) -> String {
        let Self {
            mode,
            to,
            number,
            when,
        } = self;
        format!("{}-{to:?}-{when:?}{number}", mode.name()).to_lowercase()
    }

    fn hold(&self, to: To) -> Option<(Call, When)> {
        (self.to == to).then_some((Call::Number(self.number), self.when))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_by_statements_loses_and_doubles_nothing() {
    crash_everywhere(Mode::Statements).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_that_isolates_a_bad_file_loses_and_doubles_nothing() {
    crash_everywhere(Mode::Isolation).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_by_the_procedure_loses_and_doubles_nothing() {
    crash_everywhere(Mode::Procedure).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_or_in_a_transaction_of_postgresql_loses_and_doubles_nothing() {
    crash_everywhere(Mode::OneByOne).await;
}

/// At every call of a load, before it and after it.
async fn crash_everywhere(mode: Mode) {
    let _busy = crate::MACHINE.read().await;
    let name = mode.name();
    let mut world = World::start(&name, std::slice::from_ref(&name), ("0s", HEARTBEAT)).await;
    if mode == Mode::OneByOne && !world.open_postgres().await {
        return; // An AWS of somebody else's: its database is not ours to reach.
    }
    let notices = Notices::of(&world).await;
    let config = mode.config(&notices);
    let (aws, postgres) = calls_of_a_load(&mut world, (mode, &config)).await;
    let mut all = vec![(To::Aws, &aws)];
    if mode == Mode::OneByOne {
        all.push((To::Postgres, &postgres));
    }
    for (to, calls) in all {
        let deaths = everywhere(calls).map(|(number, when)| Death {
            mode,
            to,
            number,
            when,
        });
        let died = crash_all(&mut world, (deaths.collect(), &config)).await;
        let at = died.iter().map(|(death, call)| (death.when, call.as_str()));
        assert_everywhere(&at.collect::<Vec<_>>(), calls);
        if mode != Mode::Statements {
            let told = notices.all().await;
            for (death, call) in died {
                let file = format!("/{}/incoming/{}", table(&death.name()), BAD.0);
                let told = told.iter().any(|message| message.contains(&file));
                assert!(told, "{death:?}, {call}: nobody was told of {file}");
            }
        }
    }
}

/// Gives the calls at which the workers died.
async fn crash_all(
    world: &mut World,
    (deaths, config): (Vec<Death>, &str),
) -> Vec<(Death, String)> {
    let names: Vec<String> = deaths.iter().map(Death::name).collect();
    world.set_up_as(&names, config).await;
    let tables: Vec<String> = names.iter().map(|name| table(name)).collect();
    let targets = world.targets(&tables).await;
    let world = &*world;
    let deaths = stream::iter(deaths.iter().zip(&targets))
        .map(async |(death, target)| (*death, crash(world, target, death).await));
    deaths.buffer_unordered(AT_ONCE).collect().await
}

fn table(name: &str) -> String {
    name.replace('-', "_")
}

/// A worker, and what its calls pass through.
struct Overheard {
    worker: Process,
    aws: Proxy,
    postgres: Option<Wire>,
}

impl Overheard {
    async fn start(world: &World, who: (&str, &str), death: Option<&Death>) -> Self {
        let hold = |to| death.and_then(|death| death.hold(to));
        let aws = Proxy::start(&world.endpoint, hold(To::Aws)).await;
        let Some(address) = world.postgres() else {
            let worker = world.worker_at(who, &aws.url);
            return Self {
                worker,
                aws,
                postgres: None,
            };
        };
        let wire = Wire::start(address, hold(To::Postgres)).await;
        Self {
            worker: world.worker_between(who, &aws.url, &wire.address),
            aws,
            postgres: Some(wire),
        }
    }

    /// The round trips with PostgreSQL.
    fn round_trips(&self) -> Vec<String> {
        (self.postgres.as_ref()).map_or_else(Vec::new, Wire::calls)
    }

    /// Waits until a call is held; gives its name.
    async fn held(&self) -> String {
        match &self.postgres {
            Some(wire) => tokio::select! {
                call = self.aws.held() => call,
                call = wire.held() => call,
            },
            None => self.aws.held().await,
        }
    }
}

/// Every call of a load in which nothing happens, from the poll to the report.
async fn calls_of_a_load(
    world: &mut World,
    (mode, config): (Mode, &str),
) -> (Vec<String>, Vec<String>) {
    let name = mode.name();
    world.set_up_as(std::slice::from_ref(&name), config).await;
    let targets = world.targets(std::slice::from_ref(&name)).await;
    mode.land(&targets[0]).await;
    let execution = world.start_execution(&name, &targets[0].input()).await;
    let overheard = Overheard::start(world, (&name, "only"), None).await;
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
    let mut calls = overheard.aws.calls();
    let report = calls.iter().position(|call| call == REPORT);
    calls.truncate(report.expect("a report") + 1);
    assert!(calls.len() > 15, "these are not all of them: {calls:?}");
    let trips = overheard.round_trips();
    let commits = trips.iter().filter(|call| *call == "COMMIT").count();
    let each = if mode == Mode::OneByOne {
        FILES.len()
    } else {
        0
    };
    assert_eq!(commits, each, "{trips:?}");
    eprintln!(
        "{mode:?}: {} {calls:?}\n{} {trips:?}",
        calls.len(),
        trips.len()
    );
    (calls, trips)
}

/// One death and what comes after it; gives the call at which it was.
async fn crash(world: &World, target: &Target<'_>, death: &Death) -> String {
    let activity = death.name();
    death.mode.land(target).await;
    let execution = world.start_execution(&activity, &target.input()).await;
    let mut victim = Overheard::start(world, (&activity, "victim"), Some(death)).await;
    let Ok(call) = timeout(LONG, victim.held()).await else {
        let calls = (victim.aws.calls(), victim.round_trips());
        panic!("{activity}: only {calls:?}\n{}", victim.worker.said());
    };
    victim.worker.signal(Signal::SIGKILL);
    let ended = victim.worker.ended(LONG).await;
    assert_eq!(ended, None, "{activity}: it was killed");
    if let Some(token) = victim.aws.token() {
        world.lapse(&token).await;
    }
    drop(victim);

    let what = format!("{death:?}, {call}");
    let _fresh = world.worker_at((&activity, "fresh"), &world.endpoint);
    world.succeeded(&execution, LONG).await;
    death.mode.assert_done(target, &what).await;
    call
}
