//! The page's lists: activities, Deployments, executions.

use std::fmt::Write as _;

use super::chart::duration;
use super::html::{clock, escape};
use super::{ActivityRow, DeploymentRow, ExecutionRow, Show};

/// What each activity has to do.
pub(super) fn activities(rows: &[ActivityRow]) -> String {
    let header = ["Activity", "waiting", "running", "polls", "oldest"];
    let rows = rows.iter().map(|row| {
        let counts = [row.waiting, row.running, row.polls].map(|count| count.to_string());
        let [waiting, running, polls] = counts;
        [
            escape(&row.name),
            waiting,
            running,
            polls,
            duration(row.oldest_wait),
        ]
    });
    table("activities", "There are no activities.", (header, rows))
}

/// How many pods each Deployment has.
pub(super) fn deployments(rows: &[DeploymentRow]) -> String {
    let header = ["Deployment", "replicas", "ready"];
    let rows = rows.iter().map(|row| {
        [
            escape(&row.name),
            row.replicas.to_string(),
            row.ready.to_string(),
        ]
    });
    table(
        "deployments",
        "There are no Deployments of a catalogue.",
        (header, rows),
    )
}

fn table<const N: usize>(
    id: &str,
    none: &str,
    (header, rows): ([&str; N], impl Iterator<Item = [String; N]>),
) -> String {
    let row = |cell: &str, cells: [&str; N]| {
        let cells: String = cells
            .iter()
            .map(|text| format!("<{cell}>{text}</{cell}>"))
            .collect();
        format!("<tr>{cells}</tr>")
    };
    let body: String = rows
        .map(|cells| row("td", std::array::from_fn(|at| cells[at].as_str())))
        .collect();
    if body.is_empty() {
        return format!("<section id=\"{id}\"><p class=\"none\">{none}</p></section>");
    }
    format!(
        "<section id=\"{id}\"><table><thead>{}</thead><tbody>{body}</tbody></table></section>",
        row("th", header)
    )
}

/// The last executions, each with a link to what happened in it.
pub(super) fn runs(rows: &[ExecutionRow], show: Show) -> String {
    let mut out = "<section id=\"executions\"><h2>Executions</h2><nav>".to_owned();
    let choices = [
        (Show::All, "all", "./"),
        (Show::Running, "running", "./?show=running"),
        (Show::Failed, "failed", "./?show=failed"),
    ];
    for (choice, name, to) in choices {
        let current = if choice == show {
            " aria-current=\"page\""
        } else {
            ""
        };
        let _ = write!(out, "<a href=\"{to}\"{current}>{name}</a>");
    }
    out.push_str("</nav>");
    if rows.is_empty() {
        return out + "<p class=\"none\">There are none of these.</p></section>";
    }
    out.push_str("<ul class=\"rows\">");
    for row in rows {
        let _ = write!(
            out,
            "<li><span class=\"state {0}\">{0}</span> <a href=\"execution?{1}\">{2}</a> <small>{3}</small> <time>{4}</time>{5}</li>",
            escape(&row.status),
            query(&row.arn),
            escape(&row.name),
            escape(&row.machine),
            times(row),
            why(row),
        );
    }
    out + "</ul></section>"
}

/// The error and its cause, if it failed.
pub(super) fn why(row: &ExecutionRow) -> String {
    match (&row.error, &row.cause) {
        (None, None) => String::new(),
        (error, cause) => {
            let error = error.as_deref().unwrap_or("no error is named");
            let cause = cause.as_deref().map(|cause| format!(": {}", escape(cause)));
            let cause = cause.unwrap_or_default();
            format!("<p class=\"why\"><b>{}</b>{cause}</p>", escape(error))
        }
    }
}

/// When it was started, and how long it took.
pub(super) fn times(row: &ExecutionRow) -> String {
    let took = row.ended.map(|ended| {
        let seconds = ended.duration_since(row.started).as_secs_f64();
        format!(", took {}", duration(seconds))
    });
    format!("{}{}", clock(row.started), took.unwrap_or_default())
}

fn query(arn: &str) -> String {
    serde_urlencoded::to_string([("arn", arn)]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_has_a_link_and_its_reason_and_is_escaped() {
        let row = ExecutionRow {
            arn: "arn:aws:states:eu-west-1:1:execution:m:a&b".to_owned(),
            name: "a&b".to_owned(),
            status: "FAILED".to_owned(),
            error: Some("Load.<Bad>".to_owned()),
            cause: Some("\"row\" 7".to_owned()),
            ..ExecutionRow::default()
        };
        let html = runs(&[row], Show::Failed);
        for part in [
            "execution?arn=arn%3Aaws%3Astates%3Aeu-west-1%3A1%3Aexecution%3Am%3Aa%26b",
            ">a&amp;b</a>",
            "<b>Load.&lt;Bad&gt;</b>: &quot;row&quot; 7",
            "<a href=\"./?show=failed\" aria-current=\"page\">failed</a>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(runs(&[], Show::All).contains("There are none"));
    }
}
