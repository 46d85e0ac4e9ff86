//! What a sender says of a body, and whether it is so.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::Checksum;
use s3s::{S3Result, s3_error};

/// The checksums that came with a body, in base64.
#[derive(Default)]
pub(super) struct Given {
    pub(super) sums: Checksum,
    pub(super) md5: Option<String>,
}

/// Compares a body with every checksum that came with it.
pub(super) fn verify(body: &[u8], given: &Given) -> S3Result<()> {
    let sums = &given.sums;
    let mut hasher = ChecksumHasher {
        crc32: sums.checksum_crc32.as_ref().map(|_| Crc32::new()),
        crc32c: sums.checksum_crc32c.as_ref().map(|_| Crc32c::new()),
        sha1: sums.checksum_sha1.as_ref().map(|_| Sha1::new()),
        sha256: sums.checksum_sha256.as_ref().map(|_| Sha256::new()),
        crc64nvme: sums.checksum_crc64nvme.as_ref().map(|_| Crc64Nvme::new()),
    };
    hasher.update(body);
    let found = hasher.finalize();
    let md5 = given
        .md5
        .as_ref()
        .map(|_| STANDARD.encode(Md5::digest(body)));
    for (name, said, found) in [
        ("Content-MD5", &given.md5, &md5),
        ("CRC32", &sums.checksum_crc32, &found.checksum_crc32),
        ("CRC32C", &sums.checksum_crc32c, &found.checksum_crc32c),
        (
            "CRC64NVME",
            &sums.checksum_crc64nvme,
            &found.checksum_crc64nvme,
        ),
        ("SHA1", &sums.checksum_sha1, &found.checksum_sha1),
        ("SHA256", &sums.checksum_sha256, &found.checksum_sha256),
    ] {
        if said != found {
            return Err(s3_error!(
                BadDigest,
                "the {name} you specified did not match what was received"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_checksum_counts() {
        type Set = fn(&mut Given, String);
        let said = |set: Set, value: &str| {
            let mut given = Given::default();
            set(&mut given, value.to_owned());
            given
        };
        // Of the text `123456789`, as the catalogues of checksums have them.
        let cases: [(Set, &str); 4] = [
            (|given, it| given.sums.checksum_crc32 = Some(it), "y/Q5Jg=="),
            (
                |given, it| given.sums.checksum_crc32c = Some(it),
                "4waSgw==",
            ),
            (
                |given, it| given.sums.checksum_sha1 = Some(it),
                "98O8HYCOBHMq32eZZczDTKeuNEE=",
            ),
            (|given, it| given.md5 = Some(it), "JfnnlDI7RTiF9RgfG2JNCw=="),
        ];
        for (set, sum) in cases {
            assert!(verify(b"123456789", &said(set, sum)).is_ok(), "{sum}");
            let refused = verify(b"123456780", &said(set, sum)).unwrap_err();
            assert_eq!(refused.code().as_str(), "BadDigest", "{sum}");
        }
        assert!(verify(b"", &Given::default()).is_ok());
    }
}
