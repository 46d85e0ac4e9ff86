//! The warehouse, and the PostgreSQL under the one-machine Redshift.

use std::time::Duration;

use aws_sdk_redshiftdata::types::{Field, StatusString};

use super::{DATABASE, WORKGROUP, World};
use crate::process::until;
use crate::target::Target;

/// How long a statement may take that nothing holds up.
const STATEMENT: Duration = Duration::from_secs(60);

impl World {
    /// Makes the PostgreSQL under the one-machine Redshift a warehouse of its own
    /// kind, `files`; says whether there is one.
    pub(crate) async fn open_postgres(&mut self) -> bool {
        if self.is_shared() {
            return false;
        }
        // Statements run as somebody who makes no roles: the loader is the same one.
        let file = self.dir().join("postgres.url");
        let url = std::fs::read_to_string(file).expect("where statements log in");
        let url: http::Uri = url.trim().parse().expect("a URL");
        let login = url.authority().expect("a login").as_str();
        let (login, _) = login.rsplit_once('@').expect("a login");
        let (role, password) = login.split_once(':').expect("a password");
        let port = url.port_u16().expect("a port");
        let database = url.path().trim_start_matches('/');
        let address = format!("127.0.0.1:{port}");
        self.warehouses = format!(
            "  files: {{postgres: \"{address}\", user: {role}, password_env: E2E_PASSWORD, database: {database}}}\n"
        );
        self.environment
            .insert("E2E_PASSWORD".to_owned(), password.to_owned());
        self.postgres = Some(address);
        true
    }

    /// Where the warehouse `files` is, if there is one.
    pub(crate) fn postgres(&self) -> Option<&str> {
        self.postgres.as_deref()
    }

    /// A table that [`World::targets`] has made, and its prefix.
    pub(crate) fn target(&self, name: &str) -> Target<'_> {
        Target::new(self, name)
    }

    /// Makes tables; names are unique within the fleet.
    pub(crate) async fn targets(&self, names: &[String]) -> Vec<Target<'_>> {
        self.targets_of(names, "id bigint, amount bigint").await
    }

    /// The same with these columns.
    pub(crate) async fn targets_of(&self, names: &[String], columns: &str) -> Vec<Target<'_>> {
        let targets: Vec<_> = names.iter().map(|name| self.target(name)).collect();
        let sqls =
            (targets.iter()).map(|target| format!("CREATE TABLE {} ({columns})", target.table()));
        self.execute_all(&sqls.collect::<Vec<_>>()).await;
        targets
    }

    /// Runs statements that give nothing.
    pub(crate) async fn execute_all(&self, sqls: &[String]) {
        for sqls in sqls.chunks(40) {
            let made = (self.data.batch_execute_statement())
                .database(DATABASE)
                .workgroup_name(WORKGROUP)
                .set_sqls(Some(sqls.to_vec()))
                .send()
                .await;
            self.finished(made.expect("accepted").id()).await;
        }
    }

    /// The one row of numbers that a query gives.
    pub(crate) async fn numbers(&self, sql: String) -> Vec<i64> {
        let row = self.query(sql).await;
        let number = |field: &Field| *field.as_long_value().expect("a number");
        row.iter().map(number).collect()
    }

    /// The first row of a statement's result, if it has one.
    async fn query(&self, sql: String) -> Vec<Field> {
        let asked = (self.data.execute_statement())
            .database(DATABASE)
            .workgroup_name(WORKGROUP)
            .sql(sql)
            .send()
            .await
            .expect("accepted");
        self.finished(asked.id()).await;
        let result = (self.data.get_statement_result())
            .set_id(asked.id().map(str::to_owned))
            .send()
            .await;
        let rows = result.map(|result| result.records);
        let mut rows = rows.unwrap_or_default().into_iter();
        rows.next().unwrap_or_default()
    }

    async fn finished(&self, id: Option<&str>) {
        let id = id.expect("a statement has an id");
        until("a statement's end", STATEMENT, async || {
            let look = self.data.describe_statement().id(id).send().await;
            let look = look.expect("a description");
            match look.status() {
                Some(StatusString::Finished) => Some(()),
                Some(StatusString::Failed | StatusString::Aborted) => panic!("{look:?}"),
                _ => None,
            }
        })
        .await;
    }
}
