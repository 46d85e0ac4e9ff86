//! Asks `DescribeAlarms` about many alarms, never faster than AWS takes it.
//!
//! AWS takes nine calls a second, for an account and a region and everybody in
//! it. Every call waits its turn here: of a re-read, of a signal's
//! confirmation, of a further page, and of another try. Strangers' messages may
//! keep us asking, so we take less than half of the nine: who else asks in this
//! account, another fleet's autoscaler too, gets the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::record::AlarmRecord;
use crate::watch::{Page, Watch, WatchError};

/// A call takes at most so many names.
pub(crate) const NAMES: usize = 100;
/// From one call to the next: four a second.
const SPACING: Duration = Duration::from_millis(250);
/// What is refused for now is tried so often, ...
const TRIES: u32 = 3;
/// ... after a pause that grows by this.
const BACKOFF: Duration = Duration::from_millis(250);
/// No batch of names has more pages: an endpoint that never ends would hold us.
const PAGES: usize = NAMES;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Describer {
    next: Option<Instant>,
}

impl Describer {
    /// The alarms of these names, as they are now. Those that do not exist are
    /// not in the answer; one call that fails is no answer at all.
    pub(crate) async fn describe<W: Watch>(
        &mut self,
        watch: &W,
        names: &[String],
    ) -> Result<BTreeMap<String, AlarmRecord>, WatchError> {
        let mut alarms = BTreeMap::new();
        for batch in names.chunks(NAMES) {
            let mut token = None;
            let mut pages = 0;
            loop {
                let page = self.page(watch, batch, token).await?;
                alarms.extend(page.alarms);
                token = page.next;
                pages += 1;
                if token.is_none() {
                    break;
                }
                if pages == PAGES {
                    return Err(WatchError {
                        why: format!("DescribeAlarms has no last page: {PAGES} were read"),
                        again: false,
                    });
                }
            }
        }
        Ok(alarms)
    }

    async fn page<W: Watch>(
        &mut self,
        watch: &W,
        names: &[String],
        token: Option<String>,
    ) -> Result<Page, WatchError> {
        let mut tries = 1;
        loop {
            self.turn().await;
            match watch.alarms(names, token.clone()).await {
                Err(error) if error.again && tries < TRIES => {
                    self.next = Some(Instant::now() + BACKOFF * tries);
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    async fn turn(&mut self) {
        if let Some(next) = self.next {
            sleep_until(next).await;
        }
        self.next = Some(Instant::now() + SPACING);
    }
}
