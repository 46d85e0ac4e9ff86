//! Values as people write them: bytes, durations, ARNs; and what is said of those
//! that are none.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepfleet_activity::ConfigFault;

/// A number of bytes: an integer, or a text like `512MB` or `1GiB`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kind" = "bytes, like 512MB or 1GiB"))]
#[serde(
    untagged,
    expecting = "a number of bytes like 1073741824, 512MB or 1GiB"
)]
pub(super) enum Size {
    Bytes(u64),
    Text(String),
}

pub(super) fn fault(path: &str, message: String) -> ConfigFault {
    ConfigFault::new(path, message)
}

/// Whether it is the ARN of something that a service has.
pub(super) fn arn(path: &str, text: &str, service: &str, faults: &mut Vec<ConfigFault>) {
    let parts: Vec<&str> = text.split(':').collect();
    let fine = matches!(parts.as_slice(), ["arn", partition, of, _, _, name]
        if partition.starts_with("aws") && *of == service && !name.is_empty());
    if !fine {
        let message = format!(
            "found `{text}`; allowed is an ARN like `arn:aws:{service}:<region>:<account>:<name>`"
        );
        faults.push(fault(path, message));
    }
}

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn duration(
    path: &str,
    text: &str,
    range: RangeInclusive<Duration>,
    faults: &mut Vec<ConfigFault>,
) -> Duration {
    match humantime::parse_duration(text) {
        Ok(duration) if range.contains(&duration) => duration,
        _ => {
            let least = humantime::format_duration(*range.start());
            let most = humantime::format_duration(*range.end());
            faults.push(fault(
                path,
                format!(
                    "found `{text}`; allowed is a duration of {least} to {most}, like 30s or 5m"
                ),
            ));
            Duration::ZERO
        }
    }
}

/// `512MB`, `1 GiB`, `1000`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_or_texts() {
        for (text, want) in [
            ("10", Some(10)),
            ("512MB", Some(512_000_000)),
            ("1 GiB", Some(1 << 30)),
            ("", None),
            ("1 parsec", None),
            ("99999999999999999999", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(parse_size(text), want, "{text}");
        }
    }
}
