//! Copies of any size. What S3 does not copy in one request goes in parts, under
//! the same precondition; a copy appears whole or not at all.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::outside::{Answer, At, Conditional, ObjectStore, Part, To, Upload};

/// Parts at once.
const AT_ONCE: usize = 4;
/// An upload has no more parts than this.
const MOST_PARTS: u64 = 10_000;

/// From which size on a copy goes in parts, and of which size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyLimits {
    /// The most bytes that one request copies.
    pub(crate) whole: u64,
    /// The bytes of a part, or more where there would be too many.
    pub(crate) part: u64,
}

impl Default for CopyLimits {
    /// `CopyObject` and a part take up to 5 GB each.
    fn default() -> Self {
        Self {
            whole: 5_000_000_000,
            part: 1 << 30,
        }
    }
}

/// An object as it was loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Original<'a> {
    pub(crate) at: At<'a>,
    pub(crate) etag: &'a str,
    pub(crate) bytes: u64,
}

/// Copies within the bucket, if the original still has its ETag.
pub(crate) async fn copy<S: ObjectStore>(
    store: &S,
    original: Original<'_>,
    to: To<'_>,
    limits: CopyLimits,
) -> Answer<Conditional<()>> {
    let Original { at, etag, bytes } = original;
    if bytes <= limits.whole {
        return store.copy(at, etag, to).await;
    }
    let id = match store.begin(at, etag, to.key).await? {
        Conditional::Done(id) => id,
        Conditional::Refused => return Ok(Conditional::Refused),
        Conditional::Missing => return Ok(Conditional::Missing),
    };
    let upload = Upload {
        bucket: at.bucket,
        to,
        id: &id,
    };
    let copied = in_parts(store, original, upload, &parts(bytes, limits)).await;
    if !matches!(copied, Ok(Conditional::Done(()))) {
        // Parts that nobody completes are not seen, and are paid for.
        if let Err(error) = store.abort(upload).await {
            tracing::warn!(%error, "the parts of a copy that was given up were not removed");
        }
    }
    copied
}

async fn in_parts<S: ObjectStore>(
    store: &S,
    original: Original<'_>,
    upload: Upload<'_>,
    parts: &[Part],
) -> Answer<Conditional<()>> {
    // Collected first: a stream over a closure is not provably Send for every lifetime.
    let copies: Vec<_> = parts
        .iter()
        .map(|part| store.copy_part((original.at, original.etag), upload, *part))
        .collect();
    let copies = stream::iter(copies).buffered(AT_ONCE);
    let copied: Vec<Conditional<String>> = copies.try_collect().await?;
    let mut etags = Vec::with_capacity(copied.len());
    for part in copied {
        match part {
            Conditional::Done(etag) => etags.push(etag),
            Conditional::Refused => return Ok(Conditional::Refused),
            Conditional::Missing => return Ok(Conditional::Missing),
        }
    }
    store.complete(upload, &etags).await
}

/// The parts of so many bytes, in order, without a gap.
fn parts(bytes: u64, limits: CopyLimits) -> Vec<Part> {
    let size = limits.part.max(bytes.div_ceil(MOST_PARTS)).max(1);
    let firsts = (0..bytes.div_ceil(size)).map(|at| at * size);
    (1..)
        .zip(firsts)
        .map(|(number, first)| Part {
            number,
            first,
            last: (first + size).min(bytes) - 1,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_gigabytes_are_six_parts() {
        let parts = parts(6 * (1 << 30), CopyLimits::default());
        assert_eq!(parts.len(), 6);
        assert_eq!((parts[5].number, parts[5].first), (6, 5 * (1 << 30)));
        assert_eq!(parts[5].last, 6 * (1 << 30) - 1);
    }

    proptest::proptest! {
        #[test]
        fn parts_cover_every_byte_once(bytes in 1u64..50_000_000_000_000, part in 1u64..5_000_000_000) {
            let parts = parts(bytes, CopyLimits { whole: 0, part });
            proptest::prop_assert!(parts.len() as u64 <= MOST_PARTS);
            let mut next = 0;
            for (at, part) in parts.iter().enumerate() {
                proptest::prop_assert_eq!(part.first, next);
                proptest::prop_assert_eq!(part.number as usize, at + 1);
                proptest::prop_assert!(part.last >= part.first);
                proptest::prop_assert!(part.last - part.first < 5_000_000_000);
                next = part.last + 1;
            }
            proptest::prop_assert_eq!(next, bytes);
        }
    }
}
