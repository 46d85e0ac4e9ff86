//! The page of one execution: how it stands, why, and what happened.

use std::fmt::Write as _;

use super::html::{escape, head};
use super::rows::{times, why};
use super::runs::{Happened, Run};
use crate::AwsError;

/// The page of an execution; it reloads as long as it runs.
pub(super) fn page(run: &Run) -> String {
    let row = &run.row;
    let again = match row.status.as_str() {
        "RUNNING" => "<meta http-equiv=\"refresh\" content=\"2\">",
        _ => "",
    };
    let mut out = head(&row.name, again);
    let _ = write!(
        out,
        "<body><header><h1><a href=\"./\">stepfleet</a></h1><p>{}</p></header><main><section class=\"card\" id=\"execution\">\
         <h2>{}</h2><p><span class=\"state {status}\">{status}</span> <time>{}</time></p>{}{}{}</section>",
        escape(&row.arn),
        escape(&row.name),
        times(row),
        why(row),
        data("input", run.input.as_deref()),
        data("output", run.output.as_deref()),
        status = escape(&row.status),
    );
    out.push_str("<section class=\"card\" id=\"history\"><h2>History</h2>");
    if run.events.first().is_some_and(|event| event.id > 1) {
        out.push_str(
            "<p class=\"none\">The beginning is left out: GetExecutionHistory has it.</p>",
        );
    }
    out.push_str("<ol class=\"rows\">");
    out.extend(run.events.iter().map(event));
    out + "</ol></section></main></body></html>"
}

/// The page of an execution that is not there.
pub(super) fn missing(error: &AwsError) -> String {
    format!(
        "{}<body><header><h1><a href=\"./\">stepfleet</a></h1></header><main><section class=\"card\"><p>{}</p></section></main></body></html>",
        head("no such execution", ""),
        escape(&error.message)
    )
}

fn event(event: &Happened) -> String {
    let bad = ["Failed", "TimedOut", "Aborted"];
    let class = if bad.iter().any(|end| event.kind.ends_with(end)) {
        " class=\"bad\""
    } else {
        ""
    };
    let at = event.at.strftime("%H:%M:%S.%3f UTC");
    let mut out = format!(
        "<li{class}><b>{}</b> <time>#{} {at}</time>",
        escape(&event.kind),
        event.id
    );
    if !event.facts.is_empty() {
        out.push_str("<p>");
        for (name, value) in &event.facts {
            let _ = write!(
                out,
                "<span>{} <b>{}</b></span> ",
                escape(name),
                escape(value)
            );
        }
        out.push_str("</p>");
    }
    for (name, value) in &event.data {
        out.push_str(&data(name, Some(value)));
    }
    out + "</li>"
}

fn data(name: &str, text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| {
        format!(
            "<details><summary>{}</summary><pre>{}</pre></details>",
            escape(name),
            escape(text)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_shown_in_its_order_and_escaped() {
        let event = |id, kind: &str, fact: &str| Happened {
            id,
            kind: kind.to_owned(),
            facts: vec![("error".to_owned(), fact.to_owned())],
            data: vec![("output".to_owned(), "{\"a\":\"<b>\"}".to_owned())],
            ..Happened::default()
        };
        let html = page(&Run {
            events: vec![
                event(2, "TaskFailed", "A<B"),
                event(3, "ExecutionFailed", "C"),
            ],
            ..Run::default()
        });
        let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}: {html}"));
        assert!(place("TaskFailed") < place("ExecutionFailed"));
        assert!(
            html.contains("<b>A&lt;B</b>") && html.contains("&lt;b&gt;"),
            "{html}"
        );
        assert!(html.contains("The beginning is left out"));
        assert!(
            !html.contains("http-equiv"),
            "what has ended does not change"
        );
    }
}
