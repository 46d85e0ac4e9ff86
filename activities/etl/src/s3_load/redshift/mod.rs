//! Redshift as the target: many files in one COPY, with their rows in the ledger.

mod rows;
pub(crate) mod sql;

use std::time::Duration;

use stepfleet_activity::Class;
use stepfleet_activity::catalogue::WarehouseTarget;

use crate::outside::Answer;
use crate::outside::data_api::{DataApi, Statement};
use crate::s3_load::batch::Batch;
use crate::s3_load::config::Commit;
use crate::s3_load::warehouse::{BadFile, Description, Ledger, LedgerRow, Loaded, Warehouse};
use rows::{columns, first_of_each, loaded, number, unexpected};

/// Bound keys in one query; the Data API takes 200 parameters.
const KEYS: usize = 150;

/// A warehouse that batches come into in one way.
#[derive(Debug, Clone)]
pub(crate) struct Redshift {
    api: DataApi,
    commit: Commit,
}

impl Redshift {
    pub(crate) fn new(api: DataApi, commit: Commit) -> Self {
        Self { api, commit }
    }

    async fn query_by_manifest(&self, batch_id: &str) -> Answer<Option<i64>> {
        let manifest = [("manifest".to_owned(), sql::any_manifest(batch_id))];
        let rows = self.api.run(sql::QUERY_BY_MANIFEST, &manifest).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let [query] = columns(row)?;
        let query = query.parse();
        query
            .map(Some)
            .map_err(|_| unexpected("no query id".to_owned()))
    }

    /// Redshift Serverless has no such table.
    async fn bad_files_of_cluster(&self, query: i64) -> Answer<Vec<BadFile>> {
        let rows = self.api.run(&sql::bad_files_of_cluster(query), &[]).await?;
        first_of_each(rows)
    }
}

impl Ledger for Redshift {
    async fn ledger(&self, table: &str, bucket: &str, keys: &[String]) -> Answer<Vec<LedgerRow>> {
        let mut rows = Vec::new();
        for keys in keys.chunks(KEYS) {
            let mut parameters = vec![
                ("table_name".to_owned(), table.to_owned()),
                ("bucket".to_owned(), bucket.to_owned()),
            ];
            let named = keys.iter().enumerate();
            parameters.extend(named.map(|(at, key)| (format!("key{at}"), key.clone())));
            for row in self.api.run(&sql::ledger(keys.len()), &parameters).await? {
                let [batch_id, key, etag, dt, verified, bytes, age] = columns(row)?;
                rows.push(LedgerRow {
                    batch_id,
                    key,
                    etag,
                    dt,
                    bytes: number(&bytes)?,
                    verified: verified == "1",
                    age: Duration::from_secs(age.parse().unwrap_or_default()),
                });
            }
        }
        Ok(rows)
    }
}

impl Warehouse for Redshift {
    async fn submit(&self, batch: &Batch, token: &str) -> Answer<String> {
        let role = self.api.warehouse().copy_role.as_deref();
        let statements = match self.commit {
            Commit::Transaction => sql::load(batch, role),
            Commit::Procedure => sql::call(batch, role),
        };
        self.api.submit(statements, &batch.id, token).await
    }

    async fn statements(&self, batch_id: &str) -> Answer<Vec<Statement>> {
        self.api.statements(batch_id).await
    }

    async fn cancel(&self, id: &str) -> Answer<()> {
        self.api.cancel(id).await
    }

    async fn describe(&self, id: &str) -> Answer<Description> {
        let looked = self.api.describe(id).await?;
        Ok(Description {
            state: looked.state,
            error: looked.error,
            // What a procedure has run has query ids that the Data API does not
            // show, and a CALL has fewer statements beside it.
            copy_query: looked
                .queries
                .get(sql::COPY)
                .copied()
                .filter(|query| *query > 0),
        })
    }

    async fn ledgered_files(&self, batch_id: &str) -> Answer<u64> {
        let parameters = [("batch_id".to_owned(), batch_id.to_owned())];
        let rows = self.api.run(sql::LEDGERED_FILES, &parameters).await?;
        let [count] = columns(rows.into_iter().next().unwrap_or_default())?;
        number(&count)
    }

    async fn loaded(&self, query: i64) -> Answer<Option<Loaded>> {
        let rows = self.api.run(&sql::loaded(query), &[]).await?;
        rows.into_iter().next().map(loaded).transpose()
    }

    async fn loaded_by_manifest(&self, batch_id: &str) -> Answer<Option<Loaded>> {
        let manifest = [("manifest".to_owned(), sql::any_manifest(batch_id))];
        let rows = self.api.run(sql::LOADED_BY_MANIFEST, &manifest).await?;
        rows.into_iter().next().map(loaded).transpose()
    }

    async fn bad_files(&self, batch_id: &str, query: Option<i64>) -> Answer<Vec<BadFile>> {
        let query = match query {
            Some(query) => Some(query),
            None => self.query_by_manifest(batch_id).await?,
        };
        let Some(query) = query else {
            return Ok(Vec::new());
        };
        let rows = self.api.run(&sql::bad_files(query), &[]).await;
        let cluster = matches!(self.api.warehouse().target, WarehouseTarget::Cluster { .. });
        match rows {
            Ok(rows) if rows.is_empty() && cluster => self.bad_files_of_cluster(query).await,
            Ok(rows) => first_of_each(rows),
            // A user who may not read the view may still read the table.
            Err(error) if cluster && error.class == Class::Permanent => {
                self.bad_files_of_cluster(query).await
            }
            Err(error) => Err(error),
        }
    }

    async fn mark_verified(&self, batch_id: &str, loaded: Loaded) -> Answer<()> {
        let parameters = [("batch_id".to_owned(), batch_id.to_owned())];
        self.api
            .run(&sql::mark_verified(loaded.files, loaded.rows), &parameters)
            .await
            .map(drop)
    }
}
