//! How long a statement stays in each state.
//!
//! Nothing takes longer than it does, but for `--statement-latency` in STARTED,
//! unless the statement asks for it in a comment, which AWS passes over:
//! `/* stepfleet: SUBMITTED=5s PICKED=1s STARTED=2h */`.

use std::time::Duration;

use super::copy::token::{Kind, tokens};
use crate::AwsError;

/// The least that each state takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spans {
    pub(super) submitted: Duration,
    pub(super) picked: Duration,
    pub(super) started: Duration,
}

impl Spans {
    /// What the first text with such a comment asks for.
    ///
    /// # Errors
    /// If it does not say it as above.
    pub(super) fn asked(sqls: &[String], started: Duration) -> Result<Self, AwsError> {
        let mut spans = Self {
            started,
            ..Self::default()
        };
        for token in sqls.iter().flat_map(|sql| tokens(sql)) {
            let comment = token
                .text
                .strip_prefix("/*")
                .filter(|_| token.kind == Kind::Space);
            let inner = comment.and_then(|comment| comment.strip_suffix("*/"));
            if let Some(asked) = inner.and_then(|inner| inner.trim().strip_prefix("stepfleet:")) {
                for word in asked.split_whitespace() {
                    spans.take(word)?;
                }
            }
        }
        Ok(spans)
    }

    fn take(&mut self, word: &str) -> Result<(), AwsError> {
        let refused = || {
            AwsError::validation(format!(
                "{word} is no span of a state: say SUBMITTED=5s, PICKED=5s or STARTED=5s"
            ))
        };
        let (state, span) = word.split_once('=').ok_or_else(refused)?;
        let span = humantime::parse_duration(span).map_err(|_| refused())?;
        match state.to_ascii_uppercase().as_str() {
            "SUBMITTED" => self.submitted = span,
            "PICKED" => self.picked = span,
            "STARTED" => self.started = span,
            _ => return Err(refused()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_asks_for_spans() {
        let [one, two, nine] = [1, 2, 9].map(Duration::from_secs);
        let zero = Duration::ZERO;
        for (sql, wanted) in [
            ("SELECT 1 /* picked=2s */", [zero, zero, nine]),
            (
                "/*stepfleet: submitted=1s PICKED=2s*/ SELECT 1",
                [one, two, nine],
            ),
            ("SELECT 1 /* stepfleet: STARTED=1s */", [zero, zero, one]),
            ("SELECT '/* stepfleet: STARTED=1s */'", [zero, zero, nine]),
        ] {
            let [submitted, picked, started] = wanted;
            let wanted = Spans {
                submitted,
                picked,
                started,
            };
            let found = Spans::asked(&[sql.to_owned()], nine);
            assert_eq!(found.expect(sql), wanted, "{sql}");
        }
        for sql in [
            "/* stepfleet: FINISHED=1s */",
            "/* stepfleet: STARTED=x */",
            "/* stepfleet: 1s */",
        ] {
            assert!(Spans::asked(&[sql.to_owned()], zero).is_err(), "{sql}");
        }
    }
}
