//! One COPY reads files that are packed in one way: a run's files in groups by
//! that, each a batch.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use stepfleet_activity::{ActivityError, Class};

use crate::outside::{At, Conditional, Object, ObjectStore};
use crate::s3_load::codec::Codec;
use crate::s3_load::input::LoadInput;
use crate::s3_load::loader::Loader;

/// Looks at files at once.
const LOOKS: usize = 8;

/// What one COPY can load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) files: Vec<Object>,
    pub(crate) codec: Codec,
}

impl<S: ObjectStore, W, N> Loader<S, W, N> {
    /// The files by how they are packed, the group of the oldest one last: it is
    /// taken first. A file that is another one by now is left to the next run.
    async fn grouped(
        &self,
        input: &LoadInput,
        files: Vec<Object>,
    ) -> Result<Vec<Group>, ActivityError> {
        // Collected first: a stream over a closure is not provably Send for every lifetime.
        let looks: Vec<_> = files.iter().map(|file| self.codec(input, file)).collect();
        let looks = stream::iter(looks).buffered(LOOKS);
        let codecs: Vec<Option<Codec>> = looks.try_collect().await?;
        Ok(groups(files.into_iter().zip(codecs)))
    }

    /// The same of several lists, the last one to be taken first.
    pub(crate) async fn grouped_in_turn(
        &self,
        input: &LoadInput,
        lists: [Vec<Object>; 2],
    ) -> Result<Vec<Group>, ActivityError> {
        let mut groups = Vec::new();
        for files in lists {
            groups.extend(self.grouped(input, files).await?);
        }
        Ok(groups)
    }

    async fn codec(
        &self,
        input: &LoadInput,
        file: &Object,
    ) -> Result<Option<Codec>, ActivityError> {
        let said = input.compression().of_all();
        let known = said.or_else(|| Codec::by_name(&file.key));
        let known = known.or((file.size == 0).then_some(Codec::Plain));
        if known.is_some() {
            return Ok(known);
        }
        let at = At {
            bucket: &input.bucket,
            key: &file.key,
        };
        let begins = self.store.begins(at, &file.etag, Codec::TELLING).await;
        match begins {
            Ok(Conditional::Done(bytes)) => Ok(Some(Codec::by_beginning(&bytes))),
            Ok(Conditional::Refused | Conditional::Missing) => Ok(None),
            // One that may not be read holds nobody up: its COPY says so, and it is set aside.
            Err(error) if error.class == Class::Permanent => Ok(Some(Codec::Plain)),
            Err(error) => Err(error.into()),
        }
    }
}

fn groups(files: impl Iterator<Item = (Object, Option<Codec>)>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (file, codec) in files {
        let Some(codec) = codec else {
            continue;
        };
        match groups.iter_mut().find(|group| group.codec == codec) {
            Some(group) => group.files.push(file),
            None => groups.push(Group {
                files: vec![file],
                codec,
            }),
        }
    }
    groups.reverse();
    groups
}
