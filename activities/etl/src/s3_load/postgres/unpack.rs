//! What a packed file is inside, as it is read.

use std::io::{Error, ErrorKind, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

use crate::s3_load::codec::Codec;

/// The most that zstd may look back: 32 MiB, which every level of its program
/// stays under unless it is told otherwise (`--long`, `--ultra`).
const WINDOW_LOG: u32 = 25;

/// Reads the inside of a file, of all members or frames behind each other.
///
/// # Errors
/// Says why a file that is packed so cannot be read here at all.
pub(crate) fn unpacked<'a>(
    codec: Codec,
    packed: impl Read + Send + 'a,
) -> Result<Box<dyn Read + Send + 'a>, String> {
    Ok(match codec {
        Codec::Plain => Box::new(packed),
        Codec::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Codec::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(packed).and_then(|mut decoder| {
                decoder.window_log_max(WINDOW_LOG)?;
                Ok(decoder)
            });
            Box::new(decoder.map_err(|error| said(codec, &error))?)
        }
        Codec::Lzop => {
            return Err(
                "it is packed with lzop, which only Redshift reads; allowed here are gzip, bzip2, zstd and none"
                    .to_owned(),
            );
        }
    })
}

/// What a failed read of the inside says of the file.
pub(crate) fn said(codec: Codec, error: &Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => format!("it ends in the middle of its {codec} stream"),
        _ => format!("it is not {codec}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed(codec: Codec, text: &[u8]) -> Vec<u8> {
        match codec {
            Codec::Gzip => {
                let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                to.write_all(text).expect("memory");
                to.finish().expect("memory")
            }
            Codec::Bzip2 => {
                let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                to.write_all(text).expect("memory");
                to.finish().expect("memory")
            }
            Codec::Zstd => zstd::encode_all(text, 1).expect("memory"),
            Codec::Plain | Codec::Lzop => text.to_vec(),
        }
    }

    fn read(codec: Codec, packed: &[u8]) -> Result<Vec<u8>, String> {
        let mut plain = Vec::new();
        let mut inside = unpacked(codec, packed)?;
        let read = inside.read_to_end(&mut plain);
        read.map(|_| plain).map_err(|error| said(codec, &error))
    }

    #[test]
    fn what_is_packed_is_unpacked_and_what_is_not_is_said() {
        for codec in [Codec::Gzip, Codec::Bzip2, Codec::Zstd] {
            // Several members behind each other are one file.
            let both = [packed(codec, b"1,1\n"), packed(codec, b"2,2\n")].concat();
            assert_eq!(Codec::by_beginning(&both), codec);
            assert_eq!(read(codec, &both).expect("packed"), b"1,1\n2,2\n");
            let cut = read(codec, &both[..both.len() - 3]).expect_err("cut");
            assert!(cut.contains("in the middle of its"), "{codec}: {cut}");
            let none = read(codec, b"1,1\n2,2\n3,3\n").expect_err("plain");
            assert!(none.contains(&format!("not {codec}")), "{none}");
        }
        assert_eq!(read(Codec::Plain, b"1\n").expect("as it is"), b"1\n");
        let lzop = read(Codec::Lzop, b"").expect_err("not here");
        assert!(lzop.contains("only Redshift"), "{lzop}");
    }
}
