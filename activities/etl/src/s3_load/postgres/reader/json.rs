//! JSON objects, one after the other, as records.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::fit::Fit;
use super::{LONGEST, RecordFault, Writer};

/// Finds objects in pieces of any size.
#[derive(Debug)]
pub(super) struct Objects {
    ignore_case: bool,
    /// The object so far.
    text: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
    line: u64,
    /// Where the object begins.
    from: u64,
    /// Whether there was an object, and whether one had a key that is a column.
    any: bool,
    matched: bool,
}

impl Objects {
    pub(super) fn new(ignore_case: bool) -> Self {
        Self {
            ignore_case,
            text: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            line: 1,
            from: 1,
            any: false,
            matched: false,
        }
    }

    pub(super) fn pass(&mut self, piece: &[u8], writer: &mut Writer) -> Result<(), RecordFault> {
        for byte in piece {
            if self.byte(*byte)? {
                self.object(writer)?;
            }
        }
        Ok(())
    }

    /// The file's end.
    pub(super) fn finish(&self, fit: &Fit) -> Result<(), RecordFault> {
        if self.depth > 0 {
            return Err(RecordFault::new(
                self.from,
                "the file ends in the middle of an object",
            ));
        }
        if self.any && !self.matched {
            let columns: Vec<&str> = fit.columns().iter().map(|one| one.name.as_str()).collect();
            let reason = format!(
                "no object of the file has a key that is one of the columns: {}",
                columns.join(", ")
            );
            return Err(RecordFault::new(1, reason));
        }
        Ok(())
    }

    /// Whether an object ends with this byte.
    fn byte(&mut self, byte: u8) -> Result<bool, RecordFault> {
        let line = self.line;
        self.line += u64::from(byte == b'\n');
        if self.depth == 0 {
            match byte {
                b'{' => self.from = line,
                byte if byte.is_ascii_whitespace() => return Ok(false),
                byte => {
                    let found = char::from(byte).escape_default();
                    let reason = format!(
                        "it begins with `{found}`; objects are allowed, one after the other"
                    );
                    return Err(RecordFault::new(line, reason));
                }
            }
        }
        if self.text.len() >= LONGEST {
            let reason = format!("its object is longer than {LONGEST} bytes");
            return Err(RecordFault::new(self.from, reason));
        }
        self.text.push(byte);
        match byte {
            _ if std::mem::take(&mut self.escaped) => {}
            b'\\' => self.escaped = self.in_string,
            b'"' => self.in_string = !self.in_string,
            b'{' if !self.in_string => self.depth += 1,
            b'}' if !self.in_string => self.depth -= 1,
            _ => {}
        }
        Ok(self.depth == 0)
    }

    fn object(&mut self, writer: &mut Writer) -> Result<(), RecordFault> {
        let parsed = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(&self.text);
        let object = parsed.map_err(|error| {
            let line = self.from + error.line().max(1) as u64 - 1;
            RecordFault::new(line, format!("it is no JSON object: {error}"))
        })?;
        self.any = true;
        writer.begin(self.from);
        for at in 0..writer.fit.len() {
            writer.separate(at);
            let name = &writer.fit.columns()[at].name;
            let Some(raw) = self.value_of(name, &object) else {
                continue;
            };
            self.matched = true;
            if let Some(text) = text(raw.get()) {
                writer.fit.value(at, text.as_bytes(), &mut writer.out);
            }
        }
        writer.end();
        self.text.clear();
        Ok(())
    }

    /// By the letter, or else in any case.
    fn value_of<'a>(
        &self,
        name: &str,
        object: &'a BTreeMap<String, Box<RawValue>>,
    ) -> Option<&'a RawValue> {
        if let Some(exact) = object.get(name) {
            return Some(exact);
        }
        if !self.ignore_case {
            return None;
        }
        let lower = name.to_lowercase();
        let mut keys = object.iter();
        let found = keys.find(|(key, _)| key.to_lowercase() == lower);
        found.map(|(_, value)| &**value)
    }
}

/// A value as text: strings without quotes, anything else as it was written.
fn text(raw: &str) -> Option<String> {
    match raw {
        "null" => None,
        raw if raw.starts_with('"') => serde_json::from_str(raw).ok(),
        raw => Some(raw.to_owned()),
    }
}
