//! The Redshift Data API as its client speaks to it, on one PostgreSQL for all.

mod copy;
mod copy_options;
mod procedures;
mod role;
mod running;
mod statements;
mod states;

use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_redshiftdata::Client;
use aws_sdk_redshiftdata::operation::batch_execute_statement::builders::BatchExecuteStatementFluentBuilder;
use aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput;
use aws_sdk_redshiftdata::operation::execute_statement::builders::ExecuteStatementFluentBuilder;
use aws_sdk_redshiftdata::types::{Field, SqlParameter, StatusString};
use stepfleet_local::s3::S3;
use stepfleet_local::serve::WarehouseOption;
use stepfleet_local::timers::Timers;

use crate::aws::{self, until};

struct Bench {
    data: Client,
    /// Where PostgreSQL's own files are.
    dir: PathBuf,
    s3: Arc<S3>,
    timers: Timers,
}

/// Starts each case, and gives those that failed.
macro_rules! failed {
    ($bench:expr; $($case:path),* $(,)?) => {{
        let cases = [$((stringify!($case), tokio::task::spawn_local($case(Arc::clone(&$bench))))),*];
        let mut failed = Vec::new();
        for (name, case) in cases {
            if case.await.is_err() {
                failed.push(name);
            }
        }
        failed
    }};
}

/// One test, so that one PostgreSQL is started, and ended, for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_api() {
    let aws = aws::start(|options| options.warehouse = WarehouseOption::Own).await;
    let bench = Arc::new(Bench {
        data: Client::new(&aws.config),
        dir: aws.local.context.dir.clone(),
        s3: Arc::clone(&aws.local.s3),
        timers: aws.local.context.timers.clone(),
    });
    bench.s3.create_bucket("data").unwrap();
    let cases = async {
        let mut failed = failed!(bench;
            statements::values_have_their_types,
            statements::a_statement_may_have_no_result_set,
            statements::a_result_comes_in_pages,
            statements::parameters_are_values_and_never_sql,
            statements::a_batch_commits_as_one,
            statements::a_batch_fails_as_one,
            statements::statements_are_listed_by_name_and_status,
            statements::limits_are_kept,
            statements::what_is_not_here_is_refused_by_name,
            copy::a_manifest_names_the_files,
            copy::a_missing_file_matters_if_it_is_mandatory,
            copy::a_manifest_means_keys_and_a_prefix_all_below_it,
            copy::objects_come_packed,
            copy::a_bad_row_is_named_and_nothing_is_loaded,
            copy::a_load_is_in_the_history_also_if_it_is_rolled_back,
            copy_options::files_are_read_as_the_options_say,
            copy_options::a_bad_row_is_told_in_redshifts_words,
            copy_options::so_many_bad_rows_are_allowed,
            copy_options::a_checked_file_is_not_loaded,
            copy_options::what_copy_cannot_do_is_said_by_name,
            procedures::a_procedure_loads_once_and_as_one,
            procedures::a_bad_row_fails_the_procedure_and_is_named,
            procedures::a_procedure_may_fill_its_own_temporary_table,
            procedures::what_a_procedure_cannot_do_is_said_by_name,
            statements::a_list_goes_on_where_it_was,
            statements::columns_are_described,
            statements::a_transaction_is_not_for_the_statements,
            running::a_client_token_is_one_execution,
            running::a_cancelled_statement_leaves_nothing,
            running::a_batch_is_cancelled_between_its_statements,
            running::a_lost_connection_is_a_failure,
            role::no_statement_reaches_the_machine,
            role::no_statement_becomes_somebody_else,
            role::no_statement_runs_as_the_machinery,
            role::everybody_may_do_what_a_warehouse_is_for,
            role::nobody_logs_in_without_the_password,
        );
        // Each moves the time of all: one after the other.
        failed.extend(failed!(bench; states::a_statement_goes_through_its_states));
        failed.extend(failed!(bench; states::a_statement_may_be_cancelled_in_any_state));
        failed.extend(failed!(bench; states::a_statement_runs_for_a_day_at_most));
        failed.extend(failed!(bench; states::a_batch_tells_how_far_it_is));
        failed.extend(failed!(bench; states::a_client_token_counts_for_eight_hours));
        failed.extend(failed!(bench; states::a_result_is_kept_for_a_day));
        failed.extend(failed!(bench; states::two_hundred_statements_are_active_at_most));
        // It breaks the role of all, for a moment.
        failed.extend(failed!(bench; role::what_it_does_to_itself_is_mended));
        failed
    };
    let failed = tokio::task::LocalSet::new().run_until(cases).await;
    aws.local.stop().await;
    assert!(failed.is_empty(), "failed, see above: {failed:?}");
}

impl Bench {
    fn statement(&self, sql: &str) -> ExecuteStatementFluentBuilder {
        let statement = self.data.execute_statement().sql(sql);
        statement.workgroup_name("analytics").database("dev")
    }

    fn statements(&self, sqls: &[&str]) -> BatchExecuteStatementFluentBuilder {
        let sqls = sqls.iter().map(|sql| (*sql).to_owned()).collect();
        let batch = self.data.batch_execute_statement().set_sqls(Some(sqls));
        batch.workgroup_name("analytics").database("dev")
    }

    async fn submit(&self, sql: &str) -> String {
        let accepted = self.statement(sql).send().await.unwrap();
        accepted.id.unwrap()
    }

    async fn describe(&self, id: &str) -> DescribeStatementOutput {
        self.data.describe_statement().id(id).send().await.unwrap()
    }

    /// How a statement ends.
    async fn end(&self, id: &str) -> DescribeStatementOutput {
        let mut last = None;
        until("the statement ends", async || {
            let described = self.describe(id).await;
            let status = described.status.clone().unwrap();
            last = Some(described);
            !matches!(
                status,
                StatusString::Submitted | StatusString::Picked | StatusString::Started
            )
        })
        .await;
        last.unwrap()
    }

    async fn run(&self, sql: &str) -> DescribeStatementOutput {
        self.end(&self.submit(sql).await).await
    }

    async fn batch(&self, sqls: &[&str]) -> DescribeStatementOutput {
        let accepted = self.statements(sqls).send().await.unwrap();
        self.end(&accepted.id.unwrap()).await
    }

    /// Runs what has to finish.
    async fn ok(&self, sql: &str) -> DescribeStatementOutput {
        let described = self.run(sql).await;
        assert_eq!(described.error, None, "{sql}");
        assert_eq!(described.status, Some(StatusString::Finished), "{sql}");
        described
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<Field>> {
        let id = self.ok(sql).await.id;
        let result = self.data.get_statement_result().id(id).send().await;
        result.unwrap().records
    }

    async fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql).await;
        *rows[0][0].as_long_value().unwrap()
    }

    async fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    async fn put(&self, key: &str, body: impl AsRef<[u8]>) {
        self.s3.put("data", key, body.as_ref()).await.unwrap();
    }
}

fn text(value: &str) -> Field {
    Field::StringValue(value.to_owned())
}

fn parameter(name: &str, value: &str) -> SqlParameter {
    SqlParameter::builder()
        .name(name)
        .value(value)
        .build()
        .unwrap()
}
