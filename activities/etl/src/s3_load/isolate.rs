//! A bad file stops its batch and nothing else: it is found, and the rest is
//! loaded in the same attempt.

use stepfleet_activity::{ActivityError, Area};

use crate::outside::{At, Object, ObjectStore};
use crate::s3_load::batch::Batch;
use crate::s3_load::commit::Ended;
use crate::s3_load::failed::{self, Reject};
use crate::s3_load::forms::{self, Group, Looked};
use crate::s3_load::input::LoadInput;
use crate::s3_load::loader::{Loader, Run};
use crate::s3_load::signals::Signals;
use crate::s3_load::warehouse::{LedgerRow, Warehouse};

/// What came of some files.
#[derive(Debug, Default)]
pub(crate) struct Isolated {
    /// The batches that are in the ledger, by their ids.
    pub(crate) loaded: Vec<(String, Vec<LedgerRow>)>,
    /// The files that cannot be loaded.
    pub(crate) rejects: Vec<Reject>,
    /// Files that stopped a COPY alone though the warehouse names no file: they
    /// are at fault if others of this run were loaded.
    suspects: Vec<Reject>,
    /// The first failure without a place.
    unexplained: Option<ActivityError>,
}

impl Isolated {
    /// All files that were loaded.
    pub(crate) fn rows(&self) -> Vec<LedgerRow> {
        let rows = self.loaded.iter().flat_map(|(_, rows)| rows);
        rows.cloned().collect()
    }

    /// Files without a named fault are at fault only if others can be loaded:
    /// where nothing can be, it is the table, a right or the format.
    fn settle(mut self, evidence: bool, exhausted: bool) -> Result<Self, ActivityError> {
        if evidence || !self.loaded.is_empty() {
            self.rejects.append(&mut self.suspects);
            return Ok(self);
        }
        if let Some(error) = self.unexplained {
            return Err(error);
        }
        if exhausted && !self.rejects.is_empty() {
            let cause = format!(
                "{}; nothing could be loaded within isolate.attempts, and nothing was moved: mend the table or the files, or allow more attempts",
                failed::places(&self.rejects)
            );
            return Err(ActivityError::poison(Area::LOAD, cause));
        }
        Ok(self)
    }
}

impl<S: ObjectStore, W: Warehouse, N: Signals> Loader<S, W, N> {
    /// Loads these files in as few batches as their faults allow. A batch whose
    /// bad files are named is loaded again without them; one that fails without
    /// a name is halved until the file is alone. It is evidence against that one
    /// if others load, or have loaded (`is_evidence`).
    pub(crate) async fn isolate(
        &self,
        run: &mut Run<'_>,
        looked: Looked,
        is_evidence: bool,
    ) -> Result<Isolated, ActivityError> {
        let dt = self.clock.now().strftime("%Y-%m-%d").to_string();
        let mut result = Isolated {
            rejects: looked.rejects,
            suspects: looked.suspects,
            ..Isolated::default()
        };
        let mut groups = looked.groups;
        let mut attempts = 0;
        while attempts < self.config.isolate_attempts
            && let Some(group) = groups.pop()
        {
            attempts += 1;
            let batch = Batch::new(&group.input, group.files, dt.clone())
                .packed(group.codec)
                .again(&run.before);
            let doing = format!("loading {} files, COPY {attempts}", batch.files.len());
            run.context.progress.set(doing);
            self.write(&batch).await?;
            match self.commit(&batch, &mut run.lease).await? {
                Ended::Loaded(rows) => result.loaded.push((batch.id, rows)),
                Ended::Bad(rejects) => {
                    let good = without(&batch.files, &rejects);
                    result.rejects.extend(rejects);
                    groups.extend(part(&batch, good));
                }
                Ended::Unexplained(error) => {
                    // Where the load names the columns, they are its own fault.
                    let judged = run.input.columns.is_empty();
                    let unknown = forms::unknown_column(&batch.input, error.cause());
                    if let Some(bad) = unknown.filter(|_| judged) {
                        result.rejects.extend(forms::all_at_fault(&batch, &bad));
                        continue;
                    }
                    let rest = self.narrow(&batch, &error, &mut result).await?;
                    groups.extend(rest.into_iter().filter_map(|files| part(&batch, files)));
                }
            }
        }
        let evidence = is_evidence || self.judged(run.input, &result.suspects).await?;
        result.settle(evidence, !groups.is_empty())
    }

    /// What to try next of a batch that failed without a name.
    async fn narrow(
        &self,
        batch: &Batch,
        error: &ActivityError,
        result: &mut Isolated,
    ) -> Result<Vec<Vec<Object>>, ActivityError> {
        // A file that is gone since it was listed is the likeliest reason.
        let there = self.still_there(&batch.input, &batch.files).await?;
        let files = batch.files.iter().zip(there);
        let files = files.filter_map(|(file, there)| there.then_some(file));
        let files: Vec<Object> = files.cloned().collect();
        if files.len() < batch.files.len() {
            return Ok(if files.is_empty() {
                Vec::new()
            } else {
                vec![files]
            });
        }
        result.unexplained.get_or_insert_with(|| error.clone());
        if let [file] = files.as_slice() {
            let suspect = Reject::alone(batch, file, error.cause());
            result.suspects.push(suspect);
            return Ok(Vec::new());
        }
        let (one, two) = files.split_at(files.len() / 2);
        Ok(vec![two.to_vec(), one.to_vec()])
    }
}

impl<S: ObjectStore, W, N: Signals> Loader<S, W, N> {
    /// Whether an earlier run has found all of these at fault, and could not
    /// tell anybody.
    pub(crate) async fn judged(
        &self,
        input: &LoadInput,
        suspects: &[Reject],
    ) -> Result<bool, ActivityError> {
        for suspect in suspects {
            let key = suspect.report_key(input);
            let report = At {
                bucket: &input.bucket,
                key: &key,
            };
            if self.store.get(report).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(!suspects.is_empty())
    }
}

/// Some of a batch's files: what they are alike in, they still are.
fn part(batch: &Batch, files: Vec<Object>) -> Option<Group> {
    (!files.is_empty()).then(|| Group {
        input: batch.input.clone(),
        codec: batch.codec,
        files,
    })
}

fn without(files: &[Object], rejects: &[Reject]) -> Vec<Object> {
    let bad = |file: &&Object| !rejects.iter().any(|reject| reject.file == **file);
    files.iter().filter(bad).cloned().collect()
}
