//! A process dies before and after each outside call that it makes, and another
//! finishes: no row is lost, no row is doubled, nothing is left over. The calls are
//! those of a run in which nothing happens, each by its number; the rows are
//! counted in the warehouse.

mod load;
mod plan;
mod reprocess;
mod trigger;

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::timeout;

use crate::gate::When;
use crate::process::Process;
use crate::proxy::Proxy;

/// Deaths at once: much of a case is waiting, for statements and for the retry.
const AT_ONCE: usize = 12;
/// A load, on a busy machine.
const LONG: Duration = Duration::from_secs(180);
/// So long that no heartbeat lapses by itself: the scenario says when.
const HEARTBEAT: &str = "100s";
/// The last call of a task.
const REPORT: &str = "SendTaskSuccess";

/// Before and after every call, by its number.
fn everywhere(calls: &[String]) -> impl Iterator<Item = (usize, When)> {
    let both = |number| [When::Before, When::After].map(|when| (number, when));
    (1..=calls.len()).flat_map(both)
}

/// Somebody has died before and after every kind of call. What runs side by side
/// varies in its order; the kinds do not.
fn assert_everywhere(died: &[(When, &str)], calls: &[String]) {
    let kinds: BTreeSet<&str> = calls.iter().map(String::as_str).collect();
    for when in [When::Before, When::After] {
        let died = died.iter().filter(|(at, _)| *at == when);
        let at: BTreeSet<&str> = died.map(|(_, call)| *call).collect();
        assert_eq!(at, kinds, "{when:?}");
    }
}

/// Kills a process at the call that is held; gives the call.
async fn kill_at_held(process: &mut Process, proxy: &Proxy) -> String {
    let Ok(call) = timeout(LONG, proxy.held()).await else {
        panic!("only {:?}\n{}", proxy.calls(), process.said());
    };
    process.signal(Signal::SIGKILL);
    assert_eq!(process.ended(LONG).await, None, "it was killed at {call}");
    call
}
