//! What comes after the commit: verify, move, and say so. Every step may be
//! repeated, and does nothing the second time.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _};
use stepfleet_activity::{ActivityError, Area, Class};

use crate::outside::data_api::State;
use crate::outside::parts::{self, CopyLimits, Original};
use crate::outside::{At, Conditional, ObjectStore, To};
use crate::s3_load::input::LoadInput;
use crate::s3_load::keys;
use crate::s3_load::lease::Lease;
use crate::s3_load::warehouse::{LedgerRow, Loaded, Warehouse};

/// Moves at once.
const MOVES: usize = 8;
/// Moves between two looks at the lease.
const CHUNK: usize = 64;

/// What moving needs.
#[derive(Debug)]
pub(crate) struct Mover<'a, S> {
    pub(crate) store: &'a S,
    pub(crate) input: &'a LoadInput,
    pub(crate) limits: CopyLimits,
}

/// The two outsides that finishing needs.
#[derive(Debug)]
pub(crate) struct Finisher<'a, S, W> {
    pub(crate) mover: Mover<'a, S>,
    pub(crate) warehouse: &'a W,
}

impl<S: ObjectStore, W: Warehouse> Finisher<'_, S, W> {
    /// Verifies what is not verified yet, then moves: gives the rows that were
    /// verified just now, and the number of files moved.
    pub(crate) async fn finish(
        &self,
        rows: &[LedgerRow],
        lease: &mut Lease,
    ) -> Result<(u64, u64), ActivityError> {
        let open: BTreeSet<&str> = rows
            .iter()
            .filter(|row| !row.verified)
            .map(|row| row.batch_id.as_str())
            .collect();
        let mut verified = BTreeMap::new();
        for batch_id in open {
            lease.keep(self.mover.store).await?;
            verified.insert(batch_id, self.verify(batch_id).await?.rows);
        }
        let moved = self.mover.moves(rows, lease).await?;
        Ok((verified.values().sum(), moved))
    }

    /// Compares what the COPY says with what the ledger has, and marks it. The
    /// Data API forgets a statement after 24 hours; what a COPY has loaded is in
    /// the warehouse's history for days, and is found by its manifest.
    async fn verify(&self, batch_id: &str) -> Result<Loaded, ActivityError> {
        let statements = self.warehouse.statements(batch_id).await?;
        let finished = statements
            .into_iter()
            .find(|statement| statement.state == State::Finished);
        let query = match finished {
            Some(statement) => self.warehouse.describe(&statement.id).await?.copy_query,
            None => None,
        };
        let loaded = match query {
            Some(query) => self.warehouse.loaded(query).await?,
            None => None,
        };
        let loaded = match loaded {
            None => self.warehouse.loaded_by_manifest(batch_id).await?,
            found => found,
        };
        let ledgered = self.warehouse.ledgered_files(batch_id).await?;
        match loaded {
            Some(loaded) if loaded.files == ledgered => {
                self.warehouse.mark_verified(batch_id, loaded).await?;
                Ok(loaded)
            }
            found => Err(unverified(batch_id, ledgered, found)),
        }
    }
}

impl<S: ObjectStore> Mover<'_, S> {
    /// Moves loaded files away; gives how many. One that may not be moved holds up
    /// none of the others, and is said after them.
    pub(crate) async fn moves(
        &self,
        rows: &[LedgerRow],
        lease: &mut Lease,
    ) -> Result<u64, ActivityError> {
        let (mut moved, mut stuck) = (0, None);
        for rows in rows.chunks(CHUNK) {
            lease.keep(self.store).await?;
            // Collected first: a stream over a closure is not provably Send for every lifetime.
            let moves: Vec<_> = rows.iter().map(|row| self.put_away(row)).collect();
            let moves = stream::iter(moves);
            let done: Vec<_> = moves.buffer_unordered(MOVES).collect().await;
            for one in done {
                match one {
                    Ok(one) => moved += u64::from(one),
                    Err(error) if error.class() == Class::Permanent => {
                        stuck.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        stuck.map_or(Ok(moved), Err)
    }

    /// Copies to `processed/`, then deletes; an object that was replaced is a
    /// new file and stays.
    async fn put_away(&self, row: &LedgerRow) -> Result<bool, ActivityError> {
        let to = keys::processed(self.input, row);
        let from = At {
            bucket: &self.input.bucket,
            key: &row.key,
        };
        let original = Original {
            at: from,
            etag: &row.etag,
            bytes: row.bytes,
        };
        let copied = parts::copy(self.store, original, To::over(&to), self.limits).await?;
        if copied != Conditional::Done(()) {
            return Ok(false);
        }
        Ok(self.store.delete(from, &row.etag).await? != Conditional::Refused)
    }
}

fn unverified(batch_id: &str, ledgered: u64, found: Option<Loaded>) -> ActivityError {
    let found = found.map_or_else(
        || "SYS_LOAD_HISTORY, which keeps some days, has no completed COPY of it".to_owned(),
        |loaded| format!("COPY says {} files and {} rows", loaded.files, loaded.rows),
    );
    ActivityError::permanent(
        Area::LOAD,
        format!(
            "batch {batch_id} is in the ledger with {ledgered} files, but {found}; nothing was moved: compare the table with the manifest, then UPDATE stepfleet.ledger SET verified = true WHERE batch_id = '{batch_id}'"
        ),
    )
}
