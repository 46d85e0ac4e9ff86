//! The page's HTML. Everything that comes from outside is escaped.

use std::fmt::Write as _;

use super::chart::{Line, chart, duration};
use super::{AlarmRow, DecisionRow, Sample, Show, Status, rows};

const STYLE: &str = include_str!("style.css");

/// Replaces the changing part every two seconds and leaves the focus where it
/// was; without scripts the page reloads.
const SCRIPT: &str = "setInterval(async()=>{try{const r=await fetch('fragment'+location.search);if(r.ok){const m=document.querySelector('main'),t=await r.text(),a=[...m.querySelectorAll('a')].indexOf(document.activeElement);m.innerHTML=t;if(a>=0)m.querySelectorAll('a')[a]?.focus()}document.body.classList.remove('stale')}catch{document.body.classList.add('stale')}},2000)";

/// The whole page.
pub(super) fn page(status: &Status, show: Show) -> String {
    let head = head(
        "stepfleet-local",
        "<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>",
    );
    format!(
        "{head}<body><header><h1>stepfleet</h1><p>{}</p><p class=\"gone\">No answer: this is the last that was known.</p></header><main>{}</main><script>{SCRIPT}</script></body></html>",
        escape(&status.title),
        fragment(status, show)
    )
}

/// The beginning of every page, up to its body.
pub(super) fn head(title: &str, more: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{}</title><link rel=\"icon\" href=\"data:,\">{more}<style>{STYLE}</style></head>",
        escape(title)
    )
}

/// The part that changes.
pub(super) fn fragment(status: &Status, show: Show) -> String {
    let mut out = tiles(status);
    out.push_str(&charts(status));
    out.push_str("<div class=\"columns\">");
    out.push_str(&rows::activities(&status.activities));
    out.push_str(&rows::deployments(&status.deployments));
    out.push_str("</div><div class=\"columns\">");
    out.push_str(&rows::runs(&status.runs, show));
    out.push_str("<div class=\"columns\">");
    out.push_str(&alarms(&status.alarms));
    out.push_str(&decisions(&status.decisions));
    out.push_str("</div></div>");
    out
}

fn tiles(status: &Status) -> String {
    let now = status.samples.back().cloned().unwrap_or_default();
    let tiles = [
        (
            "Replicas",
            now.replicas.to_string(),
            format!("{} ready", now.ready),
        ),
        (
            "Tasks waiting",
            now.waiting.to_string(),
            format!("oldest {}", duration(now.oldest_wait)),
        ),
        (
            "Tasks running",
            now.running.to_string(),
            format!("{} open polls", now.polls),
        ),
        (
            "Files loaded",
            status.files.processed.to_string(),
            format!(
                "{} incoming, {} failed",
                status.files.incoming, status.files.failed
            ),
        ),
        (
            "Executions",
            status.executions.succeeded.to_string(),
            format!(
                "{} running, {} failed",
                status.executions.running, status.executions.failed
            ),
        ),
    ];
    let mut out = "<section class=\"tiles\">".to_owned();
    for (name, value, detail) in tiles {
        let _ = write!(
            out,
            "<div class=\"tile\"><h2>{name}</h2><b>{value}</b><small>{detail}</small></div>"
        );
    }
    out + "</section>"
}

fn charts(status: &Status) -> String {
    let samples = &status.samples;
    let start = samples.front().map(|sample| sample.at).unwrap_or_default();
    let times: Vec<f64> = samples
        .iter()
        .map(|sample| sample.at.duration_since(start).as_secs_f64())
        .collect();
    let series = |value: fn(&Sample) -> usize| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts on one machine are far below 2^52"
        )]
        samples
            .iter()
            .map(|sample| value(sample) as f64)
            .collect::<Vec<_>>()
    };
    let line = |class, name, stepped, filled, values| Line {
        class,
        name,
        stepped,
        filled,
        values,
    };
    let load = [
        line(
            "waiting",
            "waiting and running",
            false,
            true,
            series(|sample| sample.waiting + sample.running),
        ),
        line(
            "running",
            "running",
            false,
            true,
            series(|sample| sample.running),
        ),
        line(
            "replicas",
            "replicas",
            true,
            false,
            series(|sample| sample.replicas),
        ),
    ];
    let waits = [line(
        "waiting",
        "oldest wait",
        false,
        true,
        samples.iter().map(|sample| sample.oldest_wait).collect(),
    )];
    let replicas = [
        line(
            "replicas",
            "asked for",
            true,
            false,
            series(|sample| sample.replicas),
        ),
        line("ready", "ready", true, true, series(|sample| sample.ready)),
    ];
    format!(
        "<section class=\"charts\">{}{}{}</section>",
        figure("Replicas against load", "tasks, replicas", &times, &load),
        figure("Oldest waiting task", "seconds", &times, &waits),
        figure("Replicas", "pods", &times, &replicas),
    )
}

fn figure(title: &str, unit: &str, times: &[f64], lines: &[Line<'_>]) -> String {
    let legend: String = lines
        .iter()
        .map(|line| format!("<span class=\"key {}\">{}</span>", line.class, line.name))
        .collect();
    format!(
        "<figure><figcaption><h2>{title}</h2><span class=\"unit\">{unit}</span>{legend}</figcaption>{}</figure>",
        chart(title, unit, times, lines)
    )
}

fn alarms(alarms: &[AlarmRow]) -> String {
    let mut out = "<section id=\"alarms\"><h2>Alarms</h2>".to_owned();
    if alarms.is_empty() {
        return out + "<p class=\"none\">There are no alarms.</p></section>";
    }
    out.push_str("<ul class=\"rows\">");
    for alarm in alarms {
        let _ = write!(
            out,
            "<li><span class=\"state {0}\">{0}</span> <b>{1}</b> <time>{2}</time><p>{3}</p></li>",
            escape(&alarm.state),
            escape(&alarm.name),
            clock(alarm.since),
            escape(&alarm.reason)
        );
    }
    out + "</ul></section>"
}

fn decisions(decisions: &[DecisionRow]) -> String {
    let mut out = "<section id=\"decisions\"><h2>Last decisions</h2>".to_owned();
    if decisions.is_empty() {
        return out
            + "<p class=\"none\">The autoscaler has not decided anything yet.</p></section>";
    }
    out.push_str("<ul class=\"rows\">");
    for decision in decisions {
        let _ = write!(
            out,
            "<li><span class=\"state {0}\">{0}</span> <b>{1} {2} → {3}</b> <time>{4}</time><p>{5}</p></li>",
            escape(&decision.action),
            escape(&decision.deployment),
            decision.from,
            decision.to,
            clock(decision.at),
            escape(&decision.text)
        );
    }
    out + "</ul></section>"
}

/// The time of day, in UTC.
pub(super) fn clock(at: jiff::Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let alarm = AlarmRow {
            name: "<script>alert('x')</script>".to_owned(),
            state: "OK".to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
            reason: "a & b".to_owned(),
        };
        let status = Status {
            alarms: vec![alarm],
            ..Status::default()
        };
        let html = page(&status, Show::All);
        assert!(
            html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;")
                && html.contains("a &amp; b")
        );
        assert!(!html.contains("<script>alert"));
    }

    #[test]
    fn an_empty_page_says_what_is_missing() {
        let html = page(&Status::default(), Show::All);
        assert!(
            html.contains("There are no alarms.") && html.contains("has not decided anything yet")
        );
    }
}
