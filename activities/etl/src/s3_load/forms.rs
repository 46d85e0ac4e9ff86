//! What files are alike in: those of one form go into one COPY.
//!
//! A header says which columns a file has, in which order. It is read here, by one
//! small request a file, and only where the load says that there is one. The other
//! thing that the beginning of a file shows is JSON that is about something else.

use futures::{StreamExt as _, stream};
use stepfleet_activity::{Class, TaskContext};

use crate::outside::{Answer, At, Conditional, Object, ObjectStore};
use crate::s3_load::batch::Batch;
use crate::s3_load::codec::Codec;
use crate::s3_load::column::ColumnName;
use crate::s3_load::failed::Reject;
use crate::s3_load::formats::{HEAD, Head, Header, HeaderFault, JsonMapping, columns_of};
use crate::s3_load::grouping;
use crate::s3_load::input::{Format, LoadInput};
use crate::s3_load::loader::Loader;
use crate::s3_load::warehouse::BadFile;

/// Files whose beginnings are read at once.
const AT_ONCE: usize = 16;

/// What files must have in common to go into one COPY.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Form {
    /// The columns in the files' order; none where the load's own are.
    columns: Option<Vec<ColumnName>>,
}

impl Form {
    /// A load whose files have this form.
    fn of(&self, input: &LoadInput) -> LoadInput {
        let mut input = input.clone();
        if let Some(columns) = &self.columns {
            input.columns.clone_from(columns);
        }
        input
    }
}

/// Files of one form that are packed alike, and the load as it is theirs.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) input: LoadInput,
    pub(crate) codec: Codec,
    pub(crate) files: Vec<Object>,
}

/// What the beginnings of some files have shown.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// The one of the oldest file last: it is taken first.
    pub(crate) groups: Vec<Group>,
    /// Files that cannot be loaded as they are.
    pub(crate) rejects: Vec<Reject>,
    /// Files that cannot be read: at fault if others of this run are loaded.
    pub(crate) suspects: Vec<Reject>,
}

/// What a look at a file has found.
enum Found {
    Form(Form),
    Fault(HeaderFault),
    /// It is gone, or another one by now: the next run sees it.
    Gone,
}

impl<S: ObjectStore, W, N> Loader<S, W, N> {
    /// Groups files that are packed alike by their forms too.
    pub(crate) async fn look(
        &self,
        input: &LoadInput,
        packed: Vec<grouping::Group>,
        context: &TaskContext,
    ) -> Answer<Looked> {
        let mut looked = Looked::default();
        let wants = input.header == Header::Match || knows_keys(input);
        for grouping::Group { files, codec } in packed {
            if !wants {
                let input = input.clone();
                looked.groups.push(Group {
                    input,
                    codec,
                    files,
                });
                continue;
            }
            let doing = format!("looking at {} files", files.len());
            context.progress.set(doing);
            self.look_at(input, (files, codec), &mut looked).await?;
        }
        Ok(looked)
    }

    async fn look_at(
        &self,
        input: &LoadInput,
        (files, codec): (Vec<Object>, Codec),
        looked: &mut Looked,
    ) -> Answer<()> {
        let dt = self.clock.now().strftime("%Y-%m-%d").to_string();
        // Collected first: a stream over a closure is not provably Send for every lifetime.
        let looks: Vec<_> = files
            .iter()
            .map(|file| self.form(input, file, codec))
            .collect();
        let found: Vec<Answer<Found>> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let mut forms = Vec::new();
        for (file, found) in files.into_iter().zip(found) {
            let batch = || Batch::new(input, vec![file.clone()], dt.clone());
            match found {
                Ok(Found::Form(form)) => forms.push((form, file)),
                Ok(Found::Fault(fault)) => {
                    let bad = bad(input, &file, &fault);
                    looked.rejects.push(Reject::of_one(&batch(), &file, bad));
                }
                Ok(Found::Gone) => {}
                Err(error) if error.class == Class::Permanent => {
                    let reason = error.to_string();
                    looked
                        .suspects
                        .push(Reject::alone(&batch(), &file, &reason));
                }
                Err(error) => return Err(error),
            }
        }
        looked.groups.extend(groups(input, codec, forms));
        Ok(())
    }

    async fn form(&self, input: &LoadInput, file: &Object, codec: Codec) -> Answer<Found> {
        let at = At {
            bucket: &input.bucket,
            key: &file.key,
        };
        // Nothing can be asked for of an object that has nothing.
        let packed = match file.size {
            0 => Vec::new(),
            _ => match self.store.begins(at, &file.etag, beginning(codec)).await? {
                Conditional::Done(packed) => packed,
                Conditional::Refused | Conditional::Missing => return Ok(Found::Gone),
            },
        };
        let head = match Head::of(input, codec, (&packed, file.size)) {
            Ok(head) => head,
            Err(reason) => return Ok(Found::Fault(HeaderFault::new("", reason))),
        };
        Ok(match form_of(input, &head) {
            Ok(form) => Found::Form(form),
            Err(fault) => Found::Fault(fault),
        })
    }
}

/// How much of an object shows its beginning: what is packed in blocks shows
/// nothing before a whole one, of 900 KB for bzip2.
fn beginning(codec: Codec) -> u64 {
    match codec {
        Codec::Bzip2 | Codec::Zstd => 1 << 20,
        Codec::Plain | Codec::Gzip | Codec::Lzop => HEAD as u64,
    }
}

/// Whether the beginning of a JSON shows that no key is a column.
fn knows_keys(input: &LoadInput) -> bool {
    input.format == Format::Json
        && !input.columns.is_empty()
        && !matches!(JsonMapping::of(input), JsonMapping::Other(_))
}

fn form_of(input: &LoadInput, head: &Head) -> Result<Form, HeaderFault> {
    if knows_keys(input) {
        let ignore_case = JsonMapping::of(input) == JsonMapping::IgnoreCase;
        if head.matches_nothing(&input.columns, ignore_case) {
            let columns: Vec<String> = input.columns.iter().map(ToString::to_string).collect();
            let reason = format!(
                "no object in the first {HEAD} bytes of the file has a key that is one of the columns: {}",
                columns.join(", ")
            );
            return Err(HeaderFault::new("", reason));
        }
        return Ok(Form::default());
    }
    let Some(names) = head.names(input)? else {
        // Without rows, it goes with any other.
        let columns = (!input.columns.is_empty()).then(|| input.columns.clone());
        return Ok(Form { columns });
    };
    let columns = columns_of(&names, &input.columns, !input.columns.is_empty())?;
    Ok(Form {
        columns: Some(columns),
    })
}

/// The files of each form; the form of the oldest file comes last.
fn groups(input: &LoadInput, codec: Codec, files: Vec<(Form, Object)>) -> Vec<Group> {
    let mut forms: Vec<(Form, Vec<Object>)> = Vec::new();
    for (form, file) in files {
        match forms.iter_mut().find(|(other, _)| *other == form) {
            Some((_, files)) => files.push(file),
            None => forms.push((form, vec![file])),
        }
    }
    let groups = forms.into_iter().map(|(form, files)| Group {
        input: form.of(input),
        codec,
        files,
    });
    groups.rev().collect()
}

fn bad(input: &LoadInput, file: &Object, fault: &HeaderFault) -> BadFile {
    BadFile {
        file: format!("s3://{}/{}", input.bucket, file.key),
        line: "1".to_owned(),
        column: fault.column.clone(),
        value: fault.name.clone(),
        reason: fault.reason.clone(),
        ..BadFile::default()
    }
}

/// The column of a file's header that the table does not have, if that is what the
/// warehouse says: where the load names no columns, the header's names are only
/// judged there.
pub(crate) fn unknown_column(input: &LoadInput, reason: &str) -> Option<BadFile> {
    if input.header != Header::Match || !reason.contains("does not exist") {
        return None;
    }
    let said = |column: &&ColumnName| {
        let name = column.name();
        [format!("column \"{name}\" of"), format!("column {name} of")]
            .iter()
            .any(|said| reason.contains(said))
    };
    let column = input.columns.iter().find(said)?;
    Some(BadFile {
        file: String::new(),
        line: "1".to_owned(),
        value: column.name().to_owned(),
        reason: format!(
            "the header names {:?}, which is no column of {}",
            column.name(),
            input.table.id()
        ),
        ..BadFile::default()
    })
}

/// What a batch's files have in common with a header that the table does not know:
/// each of them has it.
pub(crate) fn all_at_fault(batch: &Batch, bad: &BadFile) -> Vec<Reject> {
    let each = batch.files.iter().map(|file| {
        let bad = BadFile {
            file: format!("s3://{}/{}", batch.input.bucket, file.key),
            ..bad.clone()
        };
        Reject::of_one(batch, file, bad)
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;
    use crate::s3_load::batch::digest;

    /// Hex of noise hardly becomes half as long: nothing of it comes out of a block
    /// before the whole block went in.
    #[test]
    fn the_header_of_a_packed_file_is_found_in_what_is_read_of_it() {
        let mut plain = b"id,name\n".to_vec();
        while plain.len() < 3 << 20 {
            let noise = digest(&[&plain.len().to_string()]);
            writeln!(plain, "1,{noise}").expect("memory");
        }
        let best = bzip2::Compression::best();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), best);
        bzip2.write_all(&plain).expect("memory");
        let zstd = zstd::encode_all(plain.as_slice(), 3).expect("memory");
        let input = json!({"bucket": "land", "table": "public.t", "format": "csv", "header": true});
        let input: LoadInput = serde_json::from_value(input).expect("an input");
        for (codec, packed) in [
            (Codec::Bzip2, bzip2.finish().expect("memory")),
            (Codec::Zstd, zstd),
        ] {
            let size = packed.len() as u64;
            let read = usize::try_from(beginning(codec).min(size)).expect("small");
            let head = Head::of(&input, codec, (&packed[..read], size)).expect("a head");
            let names = head.names(&input).expect("a header");
            assert_eq!(
                names,
                Some(vec!["id".to_owned(), "name".to_owned()]),
                "{codec:?}"
            );
        }
    }
}
