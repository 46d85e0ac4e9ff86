//! Whose fault it is: the files' or the table's. A file leaves `incoming/` only
//! for its own.

use std::collections::BTreeSet;

use stepfleet_activity::{ActivityError, Area, Class};

use crate::outside::{Answer, At, Object, ObjectStore};
use crate::s3_load::alike;
use crate::s3_load::failed::{self, Filed, Reject};
use crate::s3_load::input::LoadInput;
use crate::s3_load::keys::FAILED;
use crate::s3_load::loader::{Loader, Run, Settled};
use crate::s3_load::names;
use crate::s3_load::signals::Signals;

/// For so long a file in `failed/` speaks of those that fail after it.
const EVIDENCE: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
/// So many reports in `failed/` are read at most, the newest first.
const REPORTS: usize = 20;

/// What came of the files that a run has tried.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    /// So many were loaded, by this run or by one that could not move them.
    pub(crate) loaded: u64,
    /// Those that the target names, with what is wrong with them.
    pub(crate) rejects: Vec<Reject>,
    /// Those that failed alone though nobody says that it is their fault: it is,
    /// if others were loaded.
    pub(crate) suspects: Vec<Reject>,
    /// Those that failed for the table, and after which none was loaded.
    pub(crate) unfit: Vec<Reject>,
    /// The first failure that nobody explains.
    pub(crate) unexplained: Option<ActivityError>,
    /// Those of all that an earlier run has tried in vain.
    pub(crate) again: Vec<Object>,
    /// Whether the run gave up before it had tried all.
    pub(crate) gave_up: bool,
}

impl Tried {
    /// How many have failed.
    pub(crate) fn failed(&self) -> u64 {
        (self.rejects.len() + self.suspects.len() + self.unfit.len()) as u64
    }

    /// Without those that the others of the run would judge.
    pub(crate) fn named_only(self) -> Self {
        Self {
            suspects: Vec::new(),
            unfit: Vec::new(),
            unexplained: None,
            ..self
        }
    }

    /// A file failed, and nobody says that it is its fault.
    pub(crate) fn failed_alone(&mut self, suspect: Reject) {
        let error = || ActivityError::permanent(Area::LOAD, suspect.place());
        self.unexplained.get_or_insert_with(error);
        self.suspects.push(suspect);
    }

    /// A file failed for the table. One that has done so in an earlier run is alone
    /// with it, if this one has loaded others since.
    pub(crate) fn failed_for_table(&mut self, reject: Reject, others: u64) {
        if others > 0 && self.again.contains(&reject.file) {
            self.failed_alone(reject);
        } else {
            self.unfit.push(reject);
        }
    }

    /// A file was loaded: so the table takes files, and what failed before it has
    /// failed by itself.
    pub(crate) fn has_loaded(&mut self) {
        self.loaded += 1;
        self.suspects.append(&mut self.unfit);
    }
}

/// What is to be done with the files that failed.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// These are at fault.
    pub(crate) aside: Vec<Reject>,
    /// These stay where they are.
    pub(crate) held: Vec<Object>,
    /// Why these stay.
    pub(crate) failure: Option<ActivityError>,
    /// How many were loaded beside them.
    pub(crate) loaded_beside: u64,
}

impl Verdict {
    fn hold(&mut self, rejects: Vec<Reject>, failure: ActivityError) {
        let files = rejects.into_iter().map(|reject| reject.file);
        self.held.extend(files);
        self.failure.get_or_insert(failure);
    }
}

impl<S: ObjectStore, W, N: Signals> Loader<S, W, N> {
    /// Judges, and sets aside who is at fault; gives how many were.
    pub(crate) async fn settle(
        &self,
        run: &mut Run<'_>,
        tried: Tried,
    ) -> Result<u64, ActivityError> {
        let failed = tried.failed();
        let verdict = self.judge(run.input, tried).await?;
        let aside = self.aside(run.input, verdict.loaded_beside);
        let (moved, error) = match aside.run(&verdict.aside, &mut run.lease).await {
            Ok(aside) => (aside.moved, aside.stuck),
            Err(error) => (Vec::new(), Some(error)),
        };
        let (gone, stay): (Vec<Reject>, Vec<Reject>) = verdict
            .aside
            .into_iter()
            .partition(|reject| moved.contains(&reject.file));
        let stay = stay.into_iter().map(|reject| reject.file);
        let count = moved.len() as u64;
        run.settled(Settled {
            failed,
            places: failed::places(&gone),
            held: verdict.held.into_iter().chain(stay).collect(),
            moved,
        });
        verdict.failure.or(error).map_or(Ok(count), Err)
    }

    /// Where others were loaded, a file is at fault. Where none was, it is the
    /// table if two or more have failed alike, and if nobody names a fault;
    /// unless an earlier run has found them at fault, and could not move them.
    pub(crate) async fn judge(
        &self,
        input: &LoadInput,
        tried: Tried,
    ) -> Result<Verdict, ActivityError> {
        let mut verdict = Verdict {
            loaded_beside: tried.loaded,
            ..Verdict::default()
        };
        if let Some(first) = tried.unfit.first() {
            let error = ActivityError::permanent(Area::LOAD, first.place());
            verdict.hold(tried.unfit, error);
        }
        if tried.loaded > 0 {
            verdict.aside = [tried.rejects, tried.suspects].concat();
            return Ok(verdict);
        }
        if tried.rejects.is_empty() && tried.suspects.is_empty() && tried.unexplained.is_none() {
            return Ok(verdict);
        }
        let reports = self.reports(input).await?;
        let judged = |reject: &Reject| {
            let key = reject.report_key(input);
            reports.iter().any(|report| report.key == key)
        };
        let (judged_rejects, named) = tried.rejects.into_iter().partition(judged);
        let (judged_suspects, nameless) = tried.suspects.into_iter().partition(judged);
        verdict.aside = [judged_rejects, judged_suspects].concat();
        let open = Open {
            named,
            nameless,
            unexplained: tried.unexplained,
            gave_up: tried.gave_up,
        };
        let earlier = match open.named.is_empty() {
            true => Vec::new(),
            false => self.earlier(input, &reports).await?,
        };
        open.settle(&earlier, &mut verdict);
        Ok(verdict)
    }

    /// The reports of `failed/`, the newest first.
    async fn reports(&self, input: &LoadInput) -> Answer<Vec<Object>> {
        let folder = input.key(FAILED, "");
        let mut listed = self.store.list(&input.bucket, &folder).await?;
        listed.retain(|object| {
            let name = object.key.strip_prefix(&folder);
            name.is_some_and(|name| !name.contains('/') && name.ends_with(".json"))
        });
        listed.sort_by(|a, b| (b.modified, &b.key).cmp(&(a.modified, &a.key)));
        Ok(listed)
    }

    /// What has failed a short while ago with nothing loaded beside it.
    async fn earlier(&self, input: &LoadInput, reports: &[Object]) -> Answer<Vec<Filed>> {
        let since = self.clock.now().saturating_sub(EVIDENCE);
        let since = since.unwrap_or(jiff::Timestamp::MIN);
        let fresh = reports.iter().filter(|report| report.modified >= since);
        let mut earlier = Vec::new();
        for report in fresh.take(REPORTS) {
            let at = At {
                bucket: &input.bucket,
                key: &report.key,
            };
            let Some((body, _)) = self.store.get(at).await? else {
                continue;
            };
            // What cannot be read was not written by us.
            let Ok(filed) = serde_json::from_slice::<Filed>(&body) else {
                continue;
            };
            let speaks = filed.report.table == input.table.id() && filed.loaded_beside == 0;
            if speaks && filed.failed_at >= since {
                earlier.push(filed);
            }
        }
        Ok(earlier)
    }
}

/// Files that failed where none was loaded, and nobody has judged yet.
struct Open {
    named: Vec<Reject>,
    nameless: Vec<Reject>,
    unexplained: Option<ActivityError>,
    gave_up: bool,
}

impl Open {
    fn settle(self, earlier: &[Filed], verdict: &mut Verdict) {
        let nameless = self.gave_up || !self.nameless.is_empty();
        let unexplained = self.unexplained.as_ref().filter(|_| nameless);
        let failure = verdict.failure.clone();
        let failure = failure.or_else(|| self.shape(earlier));
        let failure = failure.or_else(|| unexplained.cloned());
        let failure = failure.or_else(|| self.too_many());
        match failure {
            Some(failure) => verdict.hold([self.named, self.nameless].concat(), failure),
            None => verdict.aside.extend(self.named),
        }
    }

    /// What is said where two or more have failed alike.
    fn shape(&self, earlier: &[Filed]) -> Option<ActivityError> {
        let now = self.named.iter().map(|reject| &reject.report);
        let faults: BTreeSet<String> = now.clone().map(alike::fault).collect();
        let before = earlier.iter().map(|filed| &filed.report);
        // Two in failed/ may be alike, and say nothing of these.
        let before = before.filter(|report| faults.contains(&alike::fault(report)));
        let (fault, count) = alike::shared(now.chain(before))?;
        let is_of = |reject: &&Reject| alike::fault(&reject.report) == fault;
        let here: Vec<Reject> = self.named.iter().filter(is_of).cloned().collect();
        let before = match count - here.len() {
            0 => String::new(),
            count => format!(", {count} of them already in failed/"),
        };
        let cause = format!(
            "{count} files have failed alike{before}, and of {} that were tried none could be loaded; so nothing was moved: mend the table, or the input's `columns` and `format`, or the files; {}",
            self.named.len() + self.nameless.len(),
            failed::places(&here)
        );
        Some(ActivityError::named(names::SHAPE, Class::Permanent, cause))
    }

    fn too_many(&self) -> Option<ActivityError> {
        let cause = format!(
            "{}; nothing could be loaded within isolate.attempts, and nothing was moved: mend the table or the files, or allow more attempts",
            failed::places(&self.named)
        );
        let many = self.gave_up && !self.named.is_empty();
        many.then(|| ActivityError::poison(Area::LOAD, cause))
    }
}
