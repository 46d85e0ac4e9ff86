//! RSA signatures over SHA-1, which no library in use still makes: version 1
//! of SNS's signatures has them, so that who verifies both can be tested.

use num_bigint::BigUint;

/// What says "SHA-1" in front of the sum (RFC 8017, 9.2).
const SHA1: [u8; 15] = [
    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
];

/// The numbers of a private key.
#[derive(Clone)]
pub(super) struct Sha1Key {
    modulus: BigUint,
    exponent: BigUint,
    /// Of the modulus, in bytes.
    size: usize,
}

impl std::fmt::Debug for Sha1Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sha1Key").finish_non_exhaustive()
    }
}

impl Sha1Key {
    /// From a private key in PKCS #8; none where it is no RSA key.
    pub(super) fn read(pkcs8: &[u8]) -> Option<Self> {
        // Version, algorithm, and in a text of bytes the key.
        let mut info = within(pkcs8, 0x30)?;
        take(&mut info, 0x02)?;
        take(&mut info, 0x30)?;
        let mut key = within(take(&mut info, 0x04)?, 0x30)?;
        // Version, modulus, public exponent, private exponent.
        take(&mut key, 0x02)?;
        let modulus = BigUint::from_bytes_be(take(&mut key, 0x02)?);
        take(&mut key, 0x02)?;
        let exponent = BigUint::from_bytes_be(take(&mut key, 0x02)?);
        let size = usize::try_from(modulus.bits().div_ceil(8)).ok()?;
        Some(Self {
            modulus,
            exponent,
            size,
        })
    }

    /// The signature of a text (RSASSA-PKCS1-v1_5).
    pub(super) fn sign(&self, text: &[u8]) -> Vec<u8> {
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text);
        let tail = SHA1.len() + sum.as_ref().len();
        let mut block = vec![0xff; self.size];
        block[0] = 0;
        block[1] = 1;
        block[self.size - tail - 1] = 0;
        block[self.size - tail..self.size - 20].copy_from_slice(&SHA1);
        block[self.size - 20..].copy_from_slice(sum.as_ref());
        let signature = BigUint::from_bytes_be(&block).modpow(&self.exponent, &self.modulus);
        let signature = signature.to_bytes_be();
        let mut padded = vec![0; self.size - signature.len()];
        padded.extend(signature);
        padded
    }
}

/// The inside of the one element that this is.
fn within(mut der: &[u8], tag: u8) -> Option<&[u8]> {
    take(&mut der, tag)
}

/// Takes an element of DER off, by its tag.
fn take<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        let (bytes, behind) = rest.split_at_checked(length - 0x80)?;
        length = bytes.iter().try_fold(0_usize, |length, byte| {
            length.checked_mul(256)?.checked_add(usize::from(*byte))
        })?;
        rest = behind;
    }
    let (inside, behind) = rest.split_at_checked(length)?;
    *der = behind;
    (*found == tag).then_some(inside)
}
