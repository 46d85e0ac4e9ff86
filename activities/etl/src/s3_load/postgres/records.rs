//! The records of a CSV as COPY counts them, so that what was sent and what the
//! server says it took can be compared before the commit.

/// What ends COPY on PostgreSQL 17 and older where it is a line of its own.
const END: &[u8] = b"\\.";

/// Goes through a CSV in pieces of any size. A record that is only `\.` passes
/// as `"\."`, which is the same data to CSV and no sign to the protocol.
#[derive(Debug, Default)]
pub(super) struct Records {
    ended: u64,
    in_quotes: bool,
    /// Bytes of the record so far, as they came.
    length: u64,
    /// A beginning of [`END`] that is held back until what follows is known.
    held: usize,
    /// Whether the last byte was a `\r` that ended a record.
    after_return: bool,
}

impl Records {
    /// Gives what is to be sent for this piece.
    pub(super) fn pass(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len() + 8);
        for &byte in piece {
            self.byte(byte, &mut out);
        }
        out
    }

    /// What was held back, and how many records there were in all.
    pub(super) fn finish(mut self) -> (Vec<u8>, u64) {
        let mut out = Vec::new();
        self.release(true, &mut out);
        (out, self.ended + u64::from(self.length > 0))
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        let ends = !self.in_quotes && matches!(byte, b'\n' | b'\r');
        if ends && byte == b'\n' && self.after_return {
            self.after_return = false;
            out.push(byte);
            return;
        }
        self.after_return = ends && byte == b'\r';
        if ends {
            self.release(true, out);
            out.push(byte);
            self.ended += 1;
            self.length = 0;
            return;
        }
        let begins = self.length == self.held as u64;
        self.length += 1;
        if begins && END.get(self.held) == Some(&byte) {
            self.held += 1;
            return;
        }
        self.release(false, out);
        self.in_quotes ^= byte == b'"';
        out.push(byte);
    }

    fn release(&mut self, record_ends: bool, out: &mut Vec<u8>) {
        let held = &END[..std::mem::take(&mut self.held)];
        if record_ends && held == END {
            out.extend_from_slice(b"\"\\.\"");
        } else {
            out.extend_from_slice(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], size: usize) -> (String, u64) {
        let mut records = Records::default();
        let mut out: Vec<u8> = Vec::new();
        for piece in text.chunks(size) {
            out.extend(records.pass(piece));
        }
        let (rest, count) = records.finish();
        out.extend(rest);
        (String::from_utf8(out).expect("text"), count)
    }

    #[test]
    fn a_sign_of_the_protocol_becomes_data_and_every_record_counts() {
        for (text, want, count) in [
            ("", "", 0),
            ("1\n2", "1\n2", 2),
            ("1\n\n2\n", "1\n\n2\n", 3),
            ("1\r\n2\r\n", "1\r\n2\r\n", 2),
            ("1\r2\r", "1\r2\r", 2),
            ("1,a\n\\.\n3,c\n", "1,a\n\"\\.\"\n3,c\n", 3),
            ("\\.\r\n1\r\n", "\"\\.\"\r\n1\r\n", 2),
            ("1\n\\.", "1\n\"\\.\"", 2),
            ("1\n\\", "1\n\\", 2),
            ("\\.a\n\\b\na\\.\n", "\\.a\n\\b\na\\.\n", 3),
            ("\\.\\.\n", "\\.\\.\n", 1),
            (
                "\"a\n\\.\nb\"\"\n\",1\n2\n",
                "\"a\n\\.\nb\"\"\n\",1\n2\n",
                2,
            ),
        ] {
            for size in [1, 2, 3, 64] {
                assert_eq!(
                    read(text.as_bytes(), size),
                    (want.to_owned(), count),
                    "{text:?}"
                );
            }
        }
    }
}
