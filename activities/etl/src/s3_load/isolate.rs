//! A bad file stops its batch and nothing else: it is found, and the rest is
//! loaded in the same attempt.

use stepfleet_activity::ActivityError;

use crate::outside::{Object, ObjectStore};
use crate::s3_load::batch::Batch;
use crate::s3_load::commit::Ended;
use crate::s3_load::failed::Reject;
use crate::s3_load::forms::{self, Group, Looked};
use crate::s3_load::input::LoadInput;
use crate::s3_load::judge::Tried;
use crate::s3_load::loader::{Loader, Run};
use crate::s3_load::signals::Signals;
use crate::s3_load::warehouse::{LedgerRow, Warehouse};

/// What came of some files.
#[derive(Debug, Default)]
pub(crate) struct Isolated {
    /// The batches that are in the ledger, by their ids.
    pub(crate) loaded: Vec<(String, Vec<LedgerRow>)>,
    /// And the files that are not.
    pub(crate) tried: Tried,
}

impl Isolated {
    /// All files that were loaded.
    pub(crate) fn rows(&self) -> Vec<LedgerRow> {
        let rows = self.loaded.iter().flat_map(|(_, rows)| rows);
        rows.cloned().collect()
    }
}

impl<S: ObjectStore, W: Warehouse, N: Signals> Loader<S, W, N> {
    /// Loads these groups of files, the last one first, in as few batches as their
    /// faults allow. A batch whose bad files are named is loaded again without
    /// them; one that fails without a name is halved until the file is alone.
    pub(crate) async fn isolate(
        &self,
        run: &mut Run<'_>,
        looked: Looked,
    ) -> Result<Isolated, ActivityError> {
        let dt = self.clock.now().strftime("%Y-%m-%d").to_string();
        let mut result = Isolated::default();
        result.tried.rejects = looked.rejects;
        for suspect in looked.suspects {
            result.tried.failed_alone(suspect);
        }
        let mut groups = looked.groups;
        let mut attempts = 0;
        groups.retain(|group| !group.files.is_empty());
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
                Ended::Loaded(rows) => {
                    result.tried.loaded += rows.len() as u64;
                    result.loaded.push((batch.id, rows));
                }
                Ended::Bad(rejects) => {
                    let good = without(&batch.files, &rejects);
                    result.tried.rejects.extend(rejects);
                    groups.extend(part(&batch, good));
                }
                Ended::Unexplained(error) => {
                    if let Some(bad) = forms::unknown_column(&batch.input, error.cause()) {
                        // Where the load names the columns, they are its own fault.
                        if !run.input.columns.is_empty() {
                            return Err(error);
                        }
                        let all = forms::all_at_fault(&batch, &bad);
                        result.tried.rejects.extend(all);
                        continue;
                    }
                    let rest = self.narrow(&batch, &error, &mut result.tried).await?;
                    groups.extend(rest.into_iter().filter_map(|files| part(&batch, files)));
                }
            }
        }
        result.tried.gave_up = !groups.is_empty();
        Ok(result)
    }

    /// What to try next of a batch that failed without a name.
    async fn narrow(
        &self,
        batch: &Batch,
        error: &ActivityError,
        tried: &mut Tried,
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
        tried.unexplained.get_or_insert_with(|| error.clone());
        if let Some(file) = only(&batch.input, &files, error) {
            let suspect = Reject::alone(batch, file, error.cause());
            let rest = without(&files, std::slice::from_ref(&suspect));
            tried.suspects.push(suspect);
            return Ok(Vec::from_iter((!rest.is_empty()).then_some(rest)));
        }
        let (one, two) = files.split_at(files.len() / 2);
        Ok(vec![two.to_vec(), one.to_vec()])
    }
}

/// The file that is alone, or whose name stands in the error: a read that S3
/// refuses (a right, a key of KMS, an archive) is in no list of bad files.
fn only<'a>(input: &LoadInput, files: &'a [Object], error: &ActivityError) -> Option<&'a Object> {
    if let [file] = files {
        return Some(file);
    }
    let names = |file: &&Object| {
        let url = format!("s3://{}/{}", input.bucket, file.key);
        error.cause().contains(&url)
    };
    // One key may begin as another one: the longest is meant.
    files.iter().filter(names).max_by_key(|file| file.key.len())
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
