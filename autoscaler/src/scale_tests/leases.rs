//! The Lease: who takes it over, and what becomes of it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_second_autoscaler_takes_over_a_released_lease() {
    let clock = VirtualClock::new(at(START));
    let fake = Fake::new(&before(&policy()));
    let shared = Shared::new(Metrics::new().expect("metrics"));
    let keeper = |me: &str| Keeper {
        cluster: &fake,
        clock: &clock,
        name: "lease".into(),
        me: me.into(),
        shared: &shared,
    };
    let ((one, mut one_leads), (two, mut two_leads)) = (
        tokio::sync::watch::channel(None),
        tokio::sync::watch::channel(None),
    );
    let ((stop_one, one_stops), (stop_two, two_stops)) = (
        tokio::sync::watch::channel(false),
        tokio::sync::watch::channel(false),
    );
    let script = async {
        let first: Fence =
            (*one_leads.wait_for(Option::is_some).await.expect("kept")).expect("held");
        assert_eq!(first.epoch, 1);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(*two_leads.borrow(), None, "one at a time");
        stop_one.send_replace(true);
        let second: Fence =
            (*two_leads.wait_for(Option::is_some).await.expect("kept")).expect("held");
        assert_eq!(second.epoch, 2);
        assert_eq!(*one_leads.borrow(), None);
        stop_two.send_replace(true);
    };
    let (one, two, ()) = tokio::join!(
        keep(keeper("one"), one, one_stops),
        keep(keeper("two"), two, two_stops),
        script
    );
    assert_eq!((one, two), (Left::Released, Left::Released));
    let holder = fake
        .world()
        .lease
        .as_ref()
        .and_then(|(lease, _)| lease.holder.clone());
    assert_eq!(holder, None, "released at the end");
}

/// Renews a Lease once a script's step, and says what `/readyz` would say.
#[tokio::test(start_paused = true)]
async fn readiness_follows_the_lease_and_the_last_line_says_what_became_of_it() {
    let clock = VirtualClock::new(at(START));
    let fake = Fake::new(&before(&policy()));
    let shared = Shared::new(Metrics::new().expect("metrics"));
    let keeper = |me: &str| Keeper {
        cluster: &fake,
        clock: &clock,
        name: "lease".into(),
        me: me.into(),
        shared: &shared,
    };
    let why = || shared.why_unready().unwrap_or_default();
    let lease_reached = || !why().contains("the Lease");
    assert!(!lease_reached(), "not before the first answer");
    let ((stop, stops), (fence, leads)) = (
        tokio::sync::watch::channel(false),
        tokio::sync::watch::channel(None),
    );
    // Between two renewals, and from there to between the next two.
    let between = tokio::time::Instant::now() + Duration::from_secs(1);
    let second = || tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(5));
    let script = async {
        tokio::time::sleep_until(between).await;
        assert!(lease_reached() && leads.borrow().is_some());
        assert!(why().contains("the first cycle"), "leading takes more");
        shared.ready(Part::Cycle);
        fake.fault(1, Fault::Before);
        second().await;
        let unreached = "the Lease lease cannot be reached";
        assert!(why().contains(unreached), "{}", why());
        assert!(leads.borrow().is_some(), "ours until it is about to lapse");
        clock.advance(SignedDuration::from_secs(20));
        second().await;
        assert_eq!(*leads.borrow(), None);
        fake.heal();
        fake.fault(2, Fault::Conflict);
        second().await;
        assert_eq!(why(), "", "somebody was faster, so we stand by");
        let theirs = LeaseState {
            holder: Some("them".into()),
            renewed: at(START),
            duration: Duration::from_secs(3600),
            transitions: 9,
        };
        fake.world().lease = Some((theirs.clone(), 7));
        fake.heal();
        second().await;
        assert_eq!(why(), "", "standing by is ready");
        assert_eq!(*leads.borrow(), None);
        if let Some((lease, _)) = &mut fake.world().lease {
            lease.holder = None;
        }
        second().await;
        assert!(leads.borrow().is_some());
        assert!(
            why().contains("the first cycle"),
            "now it has to work: {}",
            why()
        );
        fake.world().lease = Some((theirs, 99));
        second().await;
        stop.send_replace(true);
    };
    let (left, ()) = tokio::join!(keep(keeper("one"), fence, stops), script);
    assert_eq!(left, Left::NotHeld);
    assert_eq!(
        left.to_string(),
        "the Lease was not held by this autoscaler"
    );

    fake.world().lease = None;
    let ((stop, stops), (fence, _leads)) = (
        tokio::sync::watch::channel(false),
        tokio::sync::watch::channel(None),
    );
    let script = async {
        second().await;
        fake.fault(1, Fault::Before);
        stop.send_replace(true);
    };
    let (left, ()) = tokio::join!(keep(keeper("one"), fence, stops), script);
    let said = left.to_string();
    assert!(
        said.contains("could not be released") && said.contains("15 s"),
        "{said}"
    );
}
