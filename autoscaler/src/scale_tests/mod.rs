//! The cycle over a scripted cluster: conflicts, takeovers, and kills at every call.

mod leases;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stepfleet_activity::{Clock, VirtualClock};

use crate::decision::tests::{at, policy, record};
use crate::decision::{Action, Policy};
use crate::http::{Part, Shared};
use crate::lease::{Fence, Keeper, LeaseState, Left, keep};
use crate::levels::Levels;
use crate::metrics::Metrics;
use crate::record::{AlarmRecord, Level, Record};
use crate::scale::{Cluster, ClusterError, CycleError, Input, Outcome, Versioned, cycle};

const START: i64 = 100_000;

/// What a killed or unlucky call did.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Nothing: killed before it.
    Before,
    /// It took effect, and nobody was there to hear of it.
    After,
    /// Somebody else wrote first.
    Conflict,
}

#[derive(Debug, Default)]
struct World {
    replicas: u32,
    version: u64,
    record: Option<(String, u64)>,
    calls: usize,
    fault: Option<(usize, Fault)>,
    dead: bool,
    steps: Vec<(u32, u32)>,
    lease: Option<(LeaseState, u64)>,
}

struct Fake(Mutex<World>);

impl Fake {
    fn new(record: &Record) -> Self {
        let record = Some((record.to_json().expect("json"), 1));
        let replicas = 4;
        Self(Mutex::new(World {
            replicas,
            version: 1,
            record,
            ..World::default()
        }))
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.0.lock().expect("a lock")
    }

    fn fault(&self, call: usize, fault: Fault) {
        let mut world = self.world();
        (world.calls, world.fault, world.dead) = (0, Some((call, fault)), false);
    }

    fn heal(&self) {
        let mut world = self.world();
        (world.fault, world.dead) = (None, false);
    }

    fn record(&self) -> Record {
        let world = self.world();
        Record::from_json(&world.record.as_ref().expect("a record").0).expect("ours")
    }

    /// Makes one call: with its fault, if this is the one.
    fn call<T>(
        &self,
        effect: impl FnOnce(&mut World) -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        let mut world = self.world();
        world.calls += 1;
        let gone = || Err(ClusterError::Unavailable("killed".into()));
        if world.dead {
            return gone();
        }
        match world.fault {
            Some((call, fault)) if call == world.calls => {
                world.dead = fault != Fault::Conflict;
                match fault {
                    Fault::Before => gone(),
                    Fault::After => effect(&mut world).and_then(|_| gone()),
                    Fault::Conflict => Err(ClusterError::Conflict),
                }
            }
            _ => effect(&mut world),
        }
    }
}

impl Cluster for Fake {
    async fn scale(&self, _: &str) -> Result<Versioned<u32>, ClusterError> {
        self.call(|world| {
            Ok(Versioned {
                value: world.replicas,
                version: world.version.to_string(),
            })
        })
    }

    async fn set_scale(&self, _: &str, scale: Versioned<u32>) -> Result<(), ClusterError> {
        self.call(|world| {
            if scale.version != world.version.to_string() {
                return Err(ClusterError::Conflict);
            }
            let step = (world.replicas, scale.value);
            world.steps.push(step);
            world.replicas = scale.value;
            world.version += 1;
            Ok(())
        })
    }

    async fn record(&self, _: &str) -> Result<Option<Versioned<Option<String>>>, ClusterError> {
        self.call(|world| {
            let stored = world.record.clone();
            Ok(stored.map(|(value, version)| Versioned {
                value: Some(value),
                version: version.to_string(),
            }))
        })
    }

    async fn put_record(
        &self,
        _: &str,
        text: String,
        over: Option<String>,
    ) -> Result<String, ClusterError> {
        self.call(|world| {
            let current = world.record.as_ref().map(|(_, version)| *version);
            if current.map(|version| version.to_string()) != over {
                return Err(ClusterError::Conflict);
            }
            let version = current.unwrap_or(0) + 1;
            world.record = Some((text, version));
            Ok(version.to_string())
        })
    }

    async fn autoscaled(&self) -> Result<Vec<String>, ClusterError> {
        Ok(Vec::new())
    }

    async fn event(&self, _: &str, _: &Action, _: Timestamp) -> Result<(), ClusterError> {
        self.call(|_| Ok(()))
    }

    async fn lease(&self, _: &str) -> Result<Option<Versioned<LeaseState>>, ClusterError> {
        self.call(|world| {
            let lease = world.lease.clone();
            Ok(lease.map(|(value, version)| Versioned {
                value,
                version: version.to_string(),
            }))
        })
    }

    async fn put_lease(
        &self,
        _: &str,
        state: LeaseState,
        over: Option<String>,
    ) -> Result<(), ClusterError> {
        self.call(|world| {
            let current = world.lease.as_ref().map(|(_, version)| *version);
            if current.map(|version| version.to_string()) != over {
                return Err(ClusterError::Conflict);
            }
            world.lease = Some((state, current.unwrap_or(0) + 1));
            Ok(())
        })
    }
}

/// The wait is too long.
const BREACH: Option<Level> = Some(Level::Alarm);
/// CloudWatch was not asked since the start.
const UNREAD: Option<Level> = None;

/// What CloudWatch said when it was last asked.
fn read(out: Option<Level>, clock: &VirtualClock) -> Levels {
    let mut levels = Levels::default();
    let Some(out) = out else {
        return levels;
    };
    let since = at(START - 1);
    let names: Vec<String> = ["a-out", "a-in", "a-starved"].map(str::to_owned).into();
    let alarms = names.iter().map(|name| {
        let level = if name == "a-out" { out } else { Level::Ok };
        (name.clone(), AlarmRecord { level, since })
    });
    levels.learn(clock.now(), &names, &alarms.collect());
    levels
}

async fn run_as(
    fake: &Fake,
    clock: &VirtualClock,
    policy: &Policy,
    (out, epoch): (Option<Level>, i32),
) -> Result<Outcome, CycleError> {
    let input = Input {
        deployment: "d",
        policy,
        levels: &read(out, clock),
        activities: &BTreeMap::new(),
        autoscaled: Some(false),
        fence: Fence {
            epoch,
            until: Timestamp::MAX,
        },
    };
    cycle(fake, clock, &input).await
}

fn before(policy: &Policy) -> Record {
    let mut record = record(policy);
    record.epoch = 1;
    record
}

#[tokio::test]
async fn a_kill_at_any_call_neither_repeats_a_step_nor_forgets_the_breach() {
    let policy = policy();
    let mut calls = 0;
    for fault in [Fault::Before, Fault::After] {
        for call in 1.. {
            let (fake, clock) = (Fake::new(&before(&policy)), VirtualClock::new(at(START)));
            fake.fault(call, fault);
            let first = run_as(&fake, &clock, &policy, (BREACH, 1)).await;
            if fake.world().calls < call {
                break;
            }
            calls = calls.max(call);
            fake.heal();
            // Unless it is durable, it is read again.
            let again = if first.is_ok() { UNREAD } else { BREACH };
            for _ in 0..4 {
                clock.advance(SignedDuration::from_secs(10));
                run_as(&fake, &clock, &policy, (again, 1))
                    .await
                    .expect("healed");
            }
            let world = fake.world().steps.clone();
            assert_eq!(
                world,
                [(4, 5)],
                "call {call} {fault:?}: one step within the cooldown"
            );
            clock.advance(SignedDuration::from_secs(70));
            run_as(&fake, &clock, &policy, (UNREAD, 1))
                .await
                .expect("healed");
            assert_eq!(
                fake.world().steps,
                [(4, 5), (5, 6)],
                "call {call} {fault:?}: again until OK"
            );
            let record = fake.record();
            assert_eq!(
                (record.intent, record.changed_by_hand),
                (None, None),
                "call {call} {fault:?}"
            );
        }
    }
    assert_eq!(calls, 6, "record, scale, intent, act, settle, Event");
}

#[tokio::test]
async fn a_conflict_at_any_write_is_observed_anew() {
    let policy = policy();
    for call in 3..=5 {
        let (fake, clock) = (Fake::new(&before(&policy)), VirtualClock::new(at(START)));
        fake.fault(call, Fault::Conflict);
        run_as(&fake, &clock, &policy, (BREACH, 1))
            .await
            .expect("tried again");
        assert_eq!(fake.world().steps, [(4, 5)], "call {call}");
    }
}

#[tokio::test]
async fn an_act_that_never_took_effect_starts_no_cooldown() {
    let policy = policy();
    let (fake, clock) = (Fake::new(&before(&policy)), VirtualClock::new(at(START)));
    fake.fault(4, Fault::Before);
    run_as(&fake, &clock, &policy, (BREACH, 1))
        .await
        .expect_err("killed before the act");
    assert!(fake.record().intent.is_some(), "the intent is durable");
    fake.heal();
    clock.advance(SignedDuration::from_secs(1));
    run_as(&fake, &clock, &policy, (UNREAD, 1))
        .await
        .expect("healed");
    assert_eq!(
        fake.world().steps,
        [(4, 5)],
        "at once, not after the cooldown"
    );
}

#[tokio::test]
async fn a_leader_of_an_older_epoch_writes_nothing() {
    let policy = policy();
    let (fake, clock) = (Fake::new(&before(&policy)), VirtualClock::new(at(START)));
    run_as(&fake, &clock, &policy, (UNREAD, 2))
        .await
        .expect("the new leader");
    assert_eq!(fake.record().epoch, 2, "its first cycle fences the old one");
    let old = run_as(&fake, &clock, &policy, (BREACH, 1)).await;
    assert!(matches!(old, Err(CycleError::NotLeader)), "{old:?}");
    let lapsed = Input {
        deployment: "d",
        policy: &policy,
        levels: &read(BREACH, &clock),
        activities: &BTreeMap::new(),
        autoscaled: Some(false),
        fence: Fence {
            epoch: 2,
            until: at(START),
        },
    };
    let lapsed = cycle(&fake, &clock, &lapsed).await;
    assert!(matches!(lapsed, Err(CycleError::NotLeader)), "{lapsed:?}");
    assert!(fake.world().steps.is_empty());
}

#[tokio::test]
async fn a_hand_is_respected_and_zero_is_a_pause() {
    let policy = policy();
    let (fake, clock) = (Fake::new(&before(&policy)), VirtualClock::new(at(START)));
    fake.world().replicas = 9;
    let outcome = run_as(&fake, &clock, &policy, (BREACH, 1))
        .await
        .expect("read");
    assert_eq!(outcome.decision.action.code(), "changed-by-hand");
    clock.advance(SignedDuration::try_from(policy.damping.cooldown_in).expect("short"));
    let outcome = run_as(&fake, &clock, &policy, (UNREAD, 1))
        .await
        .expect("read");
    assert_eq!(outcome.decision.action.code(), "breach");
    fake.world().replicas = 0;
    let outcome = run_as(&fake, &clock, &policy, (UNREAD, 1))
        .await
        .expect("read");
    assert_eq!(outcome.decision.action.code(), "paused");
}

#[tokio::test]
async fn an_unreadable_record_decides_nothing() {
    let policy = policy();
    let (fake, clock) = (Fake::new(&before(&policy)), VirtualClock::new(at(START)));
    fake.world().record = Some(("{".into(), 1));
    let outcome = run_as(&fake, &clock, &policy, (BREACH, 1)).await;
    assert!(matches!(outcome, Err(CycleError::Record(_))), "{outcome:?}");
    assert_eq!(fake.world().replicas, 4);
}
