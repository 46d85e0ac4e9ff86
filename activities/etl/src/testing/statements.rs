//! The warehouse: a load is one transaction, which takes a while and goes on
//! when the worker that submitted it is dead.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use stepfleet_activity::{Class, Clock as _};

use super::world::{World, lock};
use crate::outside::Answer;
use crate::outside::call::CallError;
use crate::outside::data_api::{State, Statement};
use crate::s3_load::batch::Batch;
use crate::s3_load::formats::Header;
use crate::s3_load::warehouse::{BadFile, Description, FileOutcome, LedgerRow, Loaded};

/// A load as it was submitted.
#[derive(Debug, Clone)]
struct Load {
    batch_id: String,
    token: String,
    table: String,
    dt: String,
    /// The COPY's list where the files begin with names.
    header: Option<Vec<String>>,
    manifest: String,
    list: String,
    packed: String,
    /// How many rows of the ledger its files may have.
    before: usize,
    state: State,
    error: Option<String>,
    looks: u32,
    cancelling: bool,
}

/// The tables, the statements and the history of loads.
#[derive(Debug, Default)]
pub(super) struct Db {
    rows: Vec<(String, String)>,
    ledger: Vec<(String, LedgerRow)>,
    loads: Vec<Load>,
    history: BTreeMap<i64, Loaded>,
    bad: BTreeMap<i64, BadFile>,
    /// Whether the Data API has forgotten the tokens, as after 8 hours.
    pub(super) tokens_expired: bool,
    /// Whether the Data API has forgotten the statements, as after 24 hours.
    pub(super) forgotten: bool,
    /// Whether the table takes any row, as one that was mended.
    pub(super) lenient: bool,
    /// Whether no file can be loaded, whatever it is.
    pub(super) refuses: bool,
    /// Whether the loader has lost its right on the table.
    pub(super) denied: bool,
    /// Whether files come one by one, each in a transaction of its own.
    pub(super) one_by_one: bool,
    /// Whether loads come by the procedure: nobody sees the query of its COPY,
    /// and one that finds its files in the ledger ends well, without effect.
    pub(super) procedure: bool,
    /// Whether of two loads in flight the one submitted last commits first.
    pub(super) newest_first: bool,
}

impl Db {
    pub(super) fn rows(&self, table: &str) -> Vec<&str> {
        let rows = self.rows.iter().filter(|(of, _)| of == table);
        rows.map(|(_, row)| row.as_str()).collect()
    }

    /// Notes all that was loaded under another spelling, as loaders of before did.
    pub(super) fn spell_ledger(&mut self, table: &str) {
        for (of, _) in &mut self.ledger {
            table.clone_into(of);
        }
    }

    pub(super) fn ledger_len(&self) -> usize {
        self.ledger.len()
    }

    pub(super) fn all_verified(&self) -> bool {
        self.ledger.iter().all(|(_, row)| row.verified)
    }

    /// How many statements were cancelled.
    pub(super) fn cancelled(&self) -> usize {
        let loads = self.loads.iter();
        loads.filter(|load| load.state == State::Cancelled).count()
    }

    /// Loses the history of loads, as after some days.
    pub(super) fn forget_history(&mut self) {
        self.history.clear();
    }

    /// What was committed, in order: how its files are packed, and these.
    pub(super) fn packed(&self) -> Vec<(String, Vec<String>)> {
        let mut packed = Vec::new();
        for load in &self.loads {
            let rows = self.ledger.iter().map(|(_, row)| row);
            let rows = rows.filter(|row| row.batch_id == load.batch_id);
            let keys = rows.map(|row| row.key.clone()).collect();
            packed.push((load.packed.clone(), keys));
        }
        packed
    }

    /// How many statements were submitted.
    pub(super) fn submitted(&self) -> usize {
        self.loads.len()
    }
}

/// The query id of a statement's COPY; 0 would mean that there was none.
fn query(at: usize) -> i64 {
    i64::try_from(at).expect("few statements") + 1
}

impl World {
    pub(super) fn submit(&self, batch: &Batch, token: &str) -> String {
        let mut db = lock(&self.db);
        let known = db.loads.iter().position(|load| load.token == token);
        let known = known.filter(|_| !db.tokens_expired);
        let at = known.unwrap_or_else(|| {
            db.loads.push(Load {
                batch_id: batch.id.clone(),
                token: token.to_owned(),
                table: batch.input.table.id().to_owned(),
                dt: batch.dt.clone(),
                header: header(batch),
                manifest: batch.manifest_key(),
                list: batch.list_key(),
                packed: batch.codec.to_string(),
                before: batch.before.len(),
                state: State::Running,
                error: None,
                looks: 0,
                cancelling: false,
            });
            db.loads.len() - 1
        });
        at.to_string()
    }

    pub(super) fn statements(&self, batch_id: &str) -> Vec<Statement> {
        let db = lock(&self.db);
        let loads = db.loads.iter().enumerate();
        loads
            .filter(|(_, load)| load.batch_id == batch_id && !db.forgotten)
            .map(|(at, load)| Statement {
                id: at.to_string(),
                state: load.state,
            })
            .collect()
    }

    /// Takes effect at the next look at the statement, or not at all.
    pub(super) fn cancel(&self, id: &str) -> Answer<()> {
        let at: usize = id.parse().expect("an id of ours");
        let load = &mut lock(&self.db).loads[at];
        if load.state != State::Running {
            return Err(CallError {
                what: format!("cancel statement {id}"),
                reason: "it is not running".to_owned(),
                class: Class::Permanent,
            });
        }
        load.cancelling = true;
        Ok(())
    }

    /// Every look takes two minutes; at the second one the load ends.
    pub(super) fn describe(&self, id: &str) -> Description {
        self.pass(120);
        let at: usize = id.parse().expect("an id of ours");
        let (looks, newest_first) = {
            let mut db = lock(&self.db);
            db.loads[at].looks += 1 + u32::from(db.loads[at].cancelling);
            (db.loads[at].looks, db.newest_first)
        };
        if looks > 1 {
            for earlier in 0..at {
                if !newest_first {
                    self.end(earlier);
                }
            }
            self.end(at);
        }
        let by_procedure = lock(&self.db).procedure;
        let load = lock(&self.db).loads[at].clone();
        Description {
            state: load.state,
            error: load.error,
            copy_query: (load.state != State::Running && !by_procedure).then(|| query(at)),
        }
    }

    /// Lets everything that was submitted come to its end.
    pub(super) fn end_all(&self) {
        let submitted = lock(&self.db).submitted();
        for at in 0..submitted {
            self.end(at);
        }
    }

    /// Commits or rolls back, if that has not happened yet.
    fn end(&self, at: usize) {
        let load = lock(&self.db).loads[at].clone();
        if load.state != State::Running {
            return;
        }
        if load.cancelling {
            lock(&self.db).loads[at].state = State::Cancelled;
            return;
        }
        self.happen("commit");
        let ended = self.transaction(at, &load);
        let load = &mut lock(&self.db).loads[at];
        (load.state, load.error) = match ended {
            Ok(()) => (State::Finished, None),
            Err(error) => (State::Failed, Some(error)),
        };
    }

    /// What `sql::load` does: reads everything, then changes all or nothing.
    fn transaction(&self, at: usize, load: &Load) -> Result<(), String> {
        let list = self.body(&load.list).ok_or("the list does not exist")?;
        let list = String::from_utf8(list).expect("text");
        let mut staged: Vec<LedgerRow> = list.lines().map(|line| staged(line, &load.dt)).collect();
        staged.iter_mut().for_each(|row| row.age = self.time());
        let mut db = lock(&self.db);
        let ledger = db.ledger.iter();
        let known = ledger.filter(|(table, row)| {
            let same = |new: &LedgerRow| new.key == row.key && new.etag == row.etag;
            is_of(table, &load.table) && staged.iter().any(same)
        });
        let there = known.count() != load.before
            || db
                .ledger
                .iter()
                .any(|(_, row)| row.batch_id == load.batch_id);
        if there && db.procedure {
            return Ok(());
        }
        if there {
            return Err("division by zero".to_owned());
        }
        if db.denied {
            return Err("ERROR: permission denied for relation t".to_owned());
        }
        let manifest = self.body(&load.manifest).ok_or("there is no manifest")?;
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        let urls = manifest["entries"].as_array().expect("entries").iter();
        let urls: Vec<&str> = urls
            .map(|entry| entry["url"].as_str().expect("a URL"))
            .collect();
        let mut rows = Vec::new();
        for url in &urls {
            let key = url.strip_prefix("s3://land/").expect("our bucket");
            let body = self
                .body(key)
                .ok_or_else(|| format!("{url} does not exist"))?;
            let body = String::from_utf8(body).expect("text");
            if db.refuses || body.contains("ugly") {
                return Err("the warehouse does not like it".to_owned());
            }
            // Whether S3's answer names the key is for the COPY to say.
            if body.contains("frozen") || body.contains("sealed") {
                let key = if body.contains("named") { *url } else { "" };
                let rid = db.loads.len() * 1_023;
                return Err(format!(
                    "ERROR: S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid {rid},CanRetry 1\n{key}"
                ));
            }
            if let Some(bad) = bad(url, &body).filter(|_| !db.lenient) {
                db.bad.insert(query(at), bad);
                return Err("Load into table failed".to_owned());
            }
            let data = body.lines().skip(usize::from(load.header.is_some()));
            let columns = load.header.as_deref().unwrap_or_default();
            if let Some(gone) = columns.iter().find(|name| *name == "gone") {
                return Err(format!(
                    "ERROR: column \"{gone}\" of relation \"t\" does not exist"
                ));
            }
            rows.extend(data.map(|row| (load.table.clone(), arranged(row, columns))));
        }
        let loaded = Loaded {
            files: urls.len() as u64,
            rows: rows.len() as u64,
        };
        db.history.insert(query(at), loaded);
        db.rows.extend(rows);
        let staged = staged.into_iter().map(|row| (load.table.clone(), row));
        db.ledger.extend(staged);
        Ok(())
    }

    /// What the transaction of a file does.
    pub(super) fn load_file(&self, batch: &Batch, body: &[u8]) -> FileOutcome {
        let (file, input) = (&batch.files[0], &batch.input);
        let mut db = lock(&self.db);
        let there = db.ledger.iter().position(|(table, row)| {
            is_of(table, input.table.id()) && row.key == file.key && row.etag == file.etag
        });
        if there.is_some_and(|at| !batch.before.has(&db.ledger[at].1)) {
            return FileOutcome::Already;
        }
        let body = String::from_utf8(body.to_vec()).expect("text");
        let url = format!("s3://{}/{}", input.bucket, file.key);
        if body.contains("ugly") {
            return FileOutcome::Bad(BadFile {
                file: url,
                reason: "the warehouse does not like it".to_owned(),
                ..BadFile::default()
            });
        }
        if let Some(bad) = bad(&url, &body).filter(|_| !db.lenient) {
            return FileOutcome::Bad(bad);
        }
        let rows = body
            .lines()
            .map(|row| (input.table.id().to_owned(), row.to_owned()));
        let rows: Vec<_> = rows.collect();
        let count = rows.len() as u64;
        db.rows.extend(rows);
        let row = LedgerRow {
            batch_id: batch.id.clone(),
            key: file.key.clone(),
            etag: file.etag.clone(),
            dt: batch.dt.clone(),
            bytes: file.size,
            verified: true,
            age: self.time(),
        };
        match there {
            Some(at) => db.ledger[at].1 = row,
            None => db.ledger.push((input.table.id().to_owned(), row)),
        }
        FileOutcome::Loaded(count)
    }

    pub(super) fn ledger(&self, table: &str, keys: &[String]) -> Vec<LedgerRow> {
        let db = lock(&self.db);
        let rows = db.ledger.iter();
        rows.filter(|(of, row)| is_of(of, table) && keys.contains(&row.key))
            .map(|(_, row)| LedgerRow {
                age: self.time() - row.age,
                ..row.clone()
            })
            .collect()
    }

    /// Since 1970: what a row of the ledger has here as its age is when it came in.
    fn time(&self) -> Duration {
        let now = self.clock.now().duration_since(jiff::Timestamp::UNIX_EPOCH);
        Duration::try_from(now).expect("later than that")
    }

    pub(super) fn ledgered_files(&self, batch_id: &str) -> u64 {
        let db = lock(&self.db);
        let rows = db.ledger.iter();
        rows.filter(|(_, row)| row.batch_id == batch_id).count() as u64
    }

    pub(super) fn loaded(&self, query: i64) -> Option<Loaded> {
        lock(&self.db).history.get(&query).copied()
    }

    pub(super) fn loaded_by_manifest(&self, batch_id: &str) -> Option<Loaded> {
        let db = lock(&self.db);
        let loads = db.loads.iter().enumerate();
        let mut loads = loads.filter(|(_, load)| load.batch_id == batch_id);
        loads.find_map(|(at, _)| db.history.get(&query(at)).copied())
    }

    /// Makes the history tell of one file less than was loaded.
    pub(super) fn falsify_history(&self) {
        for loaded in lock(&self.db).history.values_mut() {
            loaded.files -= 1;
        }
    }

    pub(super) fn bad_files(&self, batch_id: &str, copy_query: Option<i64>) -> Vec<BadFile> {
        let db = lock(&self.db);
        let last = db.loads.iter().rposition(|load| load.batch_id == batch_id);
        let bad = copy_query.or_else(|| last.map(query));
        let bad = bad.and_then(|query| db.bad.get(&query).cloned());
        bad.into_iter().collect()
    }

    pub(super) fn mark_verified(&self, batch_id: &str) {
        for (_, row) in &mut lock(&self.db).ledger {
            row.verified |= row.batch_id == batch_id;
        }
    }
}

/// A table of the ledger, which loaders of before have noted as it was spelt.
fn is_of(noted: &str, table: &str) -> bool {
    noted.to_ascii_lowercase() == table
}

fn staged(line: &str, dt: &str) -> LedgerRow {
    let line: Value = serde_json::from_str(line).expect("JSON");
    let text = |field: &str| line[field].as_str().expect("a text").to_owned();
    LedgerRow {
        bytes: line["bytes"].as_u64().expect("a number"),
        batch_id: text("batch_id"),
        key: text("object_key"),
        etag: text("etag"),
        dt: dt.to_owned(),
        verified: false,
        age: Duration::ZERO,
    }
}

fn header(batch: &Batch) -> Option<Vec<String>> {
    let columns = batch.input.columns.iter().map(ToString::to_string);
    (batch.input.header != Header::None).then(|| columns.collect())
}

/// A row as the table has it: its fields in their columns, whatever their order.
fn arranged(row: &str, columns: &[String]) -> String {
    let mut fields: Vec<(&str, &str)> = columns
        .iter()
        .map(String::as_str)
        .zip(row.split(','))
        .collect();
    if fields.is_empty() {
        return row.to_owned();
    }
    fields.sort_unstable();
    let fields: Vec<&str> = fields.into_iter().map(|(_, field)| field).collect();
    fields.join(",")
}

/// Neither column must be `bad`.
fn bad(url: &str, body: &str) -> Option<BadFile> {
    let is_bad = |row: &str| row.ends_with(",bad") || row.starts_with("bad,");
    let line = body.lines().position(is_bad)?;
    let amount = body.lines().any(|row| row.ends_with(",bad"));
    Some(BadFile {
        file: url.to_owned(),
        line: (line + 1).to_string(),
        column: if amount { "amount" } else { "id" }.to_owned(),
        reason: "Invalid digit".to_owned(),
        ..BadFile::default()
    })
}
