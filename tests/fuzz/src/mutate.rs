//! Mutations of samples: of bytes, of lines, and of JSON by its structure.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

/// SQS and Step Functions take no longer texts.
pub const LARGEST: usize = 256 * 1024;

/// Words that mean something to one reader or another.
const WORDS: [&str; 24] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "-0.0",
    "1e400",
    "\\ud800",
    "\\u0000",
    "%",
    "%+1",
    "%FF",
    "\u{feff}",
    "\u{fdd0}",
    "9999-12-31T23:59:59Z",
    "\n",
    "\t",
    "&a",
    "*a",
    "<<: *a",
];

/// Numbers at the ends of what types hold, as JSON has them.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "-0.0",
    "1e400",
    "1e-400",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "123456789012345678901234567890",
    "0.1",
    "4294967296",
    "1.7976931348623157e308",
];

/// Texts that times, sizes, names and paths are made of.
const TEXTS: [&str; 22] = [
    "",
    " ",
    "0",
    "-1",
    "99999999999999999999",
    "584942417355y",
    "1ns",
    "1e9s",
    "-9999-01-01T00:00:00Z",
    "9999-12-30T23:59:59.999999999Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00+99:99",
    "é\u{301}日本",
    "\u{0}",
    "%2",
    "%C3%28",
    "+",
    "a.b.c",
    "\"a\".\"b\"",
    "arn:aws:states:::",
    "../..",
    "100%",
];

/// Makes inputs of samples, always the same ones from the same seed.
#[derive(Debug)]
pub struct Mutator {
    random: StdRng,
    samples: Vec<Vec<u8>>,
}

// === impl Mutator ===

impl Mutator {
    /// Mutates these samples.
    pub fn new(seed: u64, samples: Vec<Vec<u8>>) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            samples,
        }
    }

    /// The next input.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.sample();
        let value: Option<Value> = serde_json::from_slice(&input).ok();
        let as_json = self.random.random_ratio(2, 3);
        if let Some(mut value) = value.filter(|_| as_json) {
            for _ in 0..self.random.random_range(1..4) {
                self.json(&mut value);
            }
            input = value.to_string().into_bytes();
            if self.random.random_ratio(1, 4) {
                self.number(&mut input);
            }
        }
        if !as_json || self.random.random_ratio(1, 4) {
            for _ in 0..self.random.random_range(1..5) {
                match self.random.random_ratio(1, 3) {
                    true => self.line(&mut input),
                    false => self.bytes(&mut input),
                }
            }
        }
        input.truncate(LARGEST);
        input
    }

    /// Long samples are slow: they come, and seldom.
    fn sample(&mut self) -> Vec<u8> {
        let pick = |random: &mut StdRng, samples: &[Vec<u8>]| samples.choose(random).cloned();
        let first = pick(&mut self.random, &self.samples).unwrap_or_default();
        if first.len() < 10_000 || self.random.random_ratio(1, 50) {
            return first;
        }
        let short: Vec<Vec<u8>> = self
            .samples
            .iter()
            .filter(|one| one.len() < 10_000)
            .cloned()
            .collect();
        pick(&mut self.random, &short).unwrap_or(first)
    }

    /// One change somewhere in a tree.
    fn json(&mut self, value: &mut Value) {
        let down = self.random.random_ratio(4, 5);
        match value {
            Value::Object(fields) if down && !fields.is_empty() => {
                let at = self.random.random_range(0..fields.len());
                if self.random.random_ratio(1, 6) {
                    self.object(fields, at);
                } else if let Some(below) = fields.values_mut().nth(at) {
                    self.json(below);
                }
            }
            Value::Array(items) if down && !items.is_empty() => {
                let at = self.random.random_range(0..items.len());
                match self.random.random_range(0..6) {
                    0 => drop(items.remove(at)),
                    1 => items.push(items[at].clone()),
                    _ => self.json(&mut items[at]),
                }
            }
            // An envelope's inside is JSON as well.
            Value::String(text) if text.starts_with('{') && self.random.random_ratio(4, 5) => {
                if let Ok(mut inside) = serde_json::from_str(text) {
                    self.json(&mut inside);
                    *text = inside.to_string();
                }
            }
            other => *other = self.value(other.take()),
        }
    }

    fn object(&mut self, fields: &mut Map<String, Value>, at: usize) {
        let Some(key) = fields.keys().nth(at).cloned() else {
            return;
        };
        let value = fields.remove(&key).unwrap_or_default();
        match self.random.random_range(0..4) {
            0 => {}
            1 => drop(fields.insert(self.text(&key), value)),
            2 => {
                fields.insert(self.text(""), value.clone());
                fields.insert(key, value);
            }
            _ => drop(fields.insert(key, json!({ "a": value }))),
        }
    }

    /// Another value in a value's place.
    fn value(&mut self, old: Value) -> Value {
        match self.random.random_range(0..9) {
            0 => Value::Null,
            1 => json!(self.random.random::<bool>()),
            2 => json!(self.random.random::<i64>()),
            3 => json!(self.random.random::<f64>()),
            4 => json!([old]),
            5 => json!({ "a": old }),
            6 => {
                let depth = *[2, 60, 120].choose(&mut self.random).unwrap_or(&2);
                (0..depth).fold(old, |inside, _| json!([inside]))
            }
            _ => Value::String(self.text(old.as_str().unwrap_or_default())),
        }
    }

    fn text(&mut self, old: &str) -> String {
        match self.random.random_range(0..200) {
            0 => "0".repeat(*[256, 1_025, 70_000].choose(&mut self.random).unwrap_or(&1)),
            1..60 => old.chars().rev().collect(),
            60..120 => {
                let mut chars: Vec<char> = old.chars().collect();
                chars.shuffle(&mut self.random);
                chars.truncate(self.random.random_range(0..=chars.len()));
                chars.into_iter().collect()
            }
            120..150 => format!("{old}{}", self.word()),
            _ => (*TEXTS.choose(&mut self.random).unwrap_or(&"")).to_owned(),
        }
    }

    fn word(&mut self) -> &'static str {
        WORDS.choose(&mut self.random).unwrap_or(&"")
    }

    /// Another number in a number's place, as no `Value` can hold it.
    fn number(&mut self, input: &mut Vec<u8>) {
        let digits = (0..input.len()).filter(|at| input[*at].is_ascii_digit());
        let digits: Vec<usize> = digits.take(1_000).collect();
        let Some(start) = digits.choose(&mut self.random).copied() else {
            return;
        };
        let length = input[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let number = NUMBERS.choose(&mut self.random).unwrap_or(&"0");
        drop(input.splice(start..start + length, number.bytes()));
    }

    /// Lines are what YAML is made of.
    fn line(&mut self, input: &mut Vec<u8>) {
        let lines = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        let mut lines: Vec<Vec<u8>> = lines.collect();
        let at = self.random.random_range(0..lines.len());
        let other = self.random.random_range(0..lines.len());
        match self.random.random_range(0..6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other].clone()),
            2 => lines.swap(at, other),
            3 => lines[at].insert(0, b' '),
            4 => {
                let indent = lines[at].len().min(2);
                drop(lines[at].drain(..indent));
            }
            _ => {
                let key = lines[at].iter().position(|byte| *byte == b':');
                let value = key.map_or(lines[at].len(), |key| key + 1);
                let old = lines[at].split_off(value);
                let old = String::from_utf8_lossy(&old).into_owned();
                let value = match self.random.random_ratio(1, 3) {
                    true => (*NUMBERS.choose(&mut self.random).unwrap_or(&"0")).to_owned(),
                    false => self.text(&old),
                };
                lines[at].push(b' ');
                lines[at].extend(value.bytes());
            }
        }
        *input = lines.join(&b'\n');
    }

    fn bytes(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.range(input.len());
        match self.random.random_range(0..7) {
            0 if start < input.len() => {
                input[start] ^= 1_u8 << self.random.random_range(0..8_u8);
            }
            1 => drop(input.drain(start..end)),
            2 => {
                let copy = input[start..end].to_vec();
                drop(input.splice(end..end, copy));
            }
            3 => input.truncate(start),
            4 => {
                let other = self.sample();
                let (from, to) = self.range(other.len());
                drop(input.splice(start..end, other[from..to].iter().copied()));
            }
            5 => {
                let mut noise = [0; 8];
                self.random.fill_bytes(&mut noise);
                drop(input.splice(start..start, noise));
            }
            _ => {
                let often = if self.random.random_ratio(1, 100) {
                    10_000
                } else {
                    1
                };
                let words = self.word().repeat(often);
                drop(input.splice(start..start, words.bytes()));
            }
        }
    }

    fn range(&mut self, length: usize) -> (usize, usize) {
        let start = self.random.random_range(0..=length);
        let end = start + self.random.random_range(0..=(length - start).min(64));
        (start, end)
    }
}
