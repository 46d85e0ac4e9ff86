//! Uploads in parts.

use s3s::dto::*;
use s3s::{S3Result, s3_error};

use super::super::checksum::Given;
use super::super::events::Kind;
use super::super::list::{encodes, url};
use super::super::store::{About, Started, UploadAt};
use super::conditions::{self, Preconditions};
use super::write::{self, LARGEST_COPY, about, given};
use super::{Api, refused, time};

/// The highest number of a part.
const MOST_PARTS: i32 = 10_000;
/// The most that a page lists.
const PAGE: i32 = 1_000;

fn number(number: i32) -> S3Result<i32> {
    if (1..=MOST_PARTS).contains(&number) {
        return Ok(number);
    }
    Err(s3_error!(
        InvalidArgument,
        "Part number must be an integer between 1 and {MOST_PARTS}, inclusive"
    ))
}

fn page(name: &str, given: Option<i32>) -> S3Result<usize> {
    usize::try_from(given.unwrap_or(PAGE).min(PAGE))
        .map_err(|_| s3_error!(InvalidArgument, "{name} is 0 or more"))
}

impl Api {
    pub(super) fn create_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let at = (input.bucket.as_str(), input.key.as_str());
        let id = self
            .store
            .start_upload(at, about!(input))
            .map_err(refused)?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        })
    }

    pub(super) async fn upload_part(&self, input: UploadPartInput) -> S3Result<UploadPartOutput> {
        let number = number(input.part_number)?;
        let given = given!(input);
        let body = write::body(input.body, &given).await?;
        let at = UploadAt {
            bucket: &input.bucket,
            key: &input.key,
            id: &input.upload_id,
        };
        let part = self.store.put_part(at, number, &body).map_err(refused)?;
        Ok(UploadPartOutput {
            e_tag: Some(ETag::Strong(part.etag)),
            checksum_crc32: given.sums.checksum_crc32,
            checksum_crc32c: given.sums.checksum_crc32c,
            checksum_crc64nvme: given.sums.checksum_crc64nvme,
            checksum_sha1: given.sums.checksum_sha1,
            checksum_sha256: given.sums.checksum_sha256,
            ..Default::default()
        })
    }

    pub(super) fn copy_part(&self, input: UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
        let number = number(input.part_number)?;
        let (bucket, key) = write::source(&input.copy_source)?;
        let (info, body) = self.store.get(bucket, key).map_err(refused)?;
        let conditions = Preconditions {
            matches: input.copy_source_if_match,
            none_match: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        conditions.of_source(&info)?;
        let range = match input.copy_source_range.as_deref() {
            None => 0..info.size,
            Some(range) => source_range(range, info.size)?,
        };
        if range.end - range.start > LARGEST_COPY {
            return Err(s3_error!(
                InvalidRequest,
                "The specified copy range is larger than the maximum of {LARGEST_COPY} bytes"
            ));
        }
        let body = body.read(range).map_err(|error| refused(error.into()))?;
        let at = UploadAt {
            bucket: &input.bucket,
            key: &input.key,
            id: &input.upload_id,
        };
        let part = self.store.put_part(at, number, &body).map_err(refused)?;
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(time(part.last_modified)),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    pub(super) fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let condition = conditions::of_write(input.if_match, input.if_none_match)?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts);
        let parts = parts.unwrap_or_default();
        if parts.is_empty() {
            return Err(s3_error!(
                MalformedXML,
                "an upload is completed with the numbers and ETags of its parts"
            ));
        }
        let named = parts.into_iter().map(|part| {
            let number = part.part_number.unwrap_or_default();
            (number, part.e_tag.map(ETag::into_value))
        });
        let named: Vec<(i32, Option<String>)> = named.collect();
        let at = UploadAt {
            bucket: &input.bucket,
            key: &input.key,
            id: &input.upload_id,
        };
        let completed = self.store.complete_upload(at, &named, &condition);
        let info = completed.map_err(refused)?;
        self.events.created(&input.bucket, Kind::Complete, &info);
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, url(&input.key))),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(info.etag)),
            ..Default::default()
        })
    }

    pub(super) fn list_parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let most = page("max-parts", input.max_parts)?;
        let after = input.part_number_marker.unwrap_or_default();
        let at = UploadAt {
            bucket: &input.bucket,
            key: &input.key,
            id: &input.upload_id,
        };
        let mut parts = self.store.parts(at).map_err(refused)?;
        parts.retain(|(number, _)| *number > after);
        let more = parts.len() > most;
        parts.truncate(most);
        Ok(ListPartsOutput {
            is_truncated: Some(more),
            next_part_number_marker: parts.last().filter(|_| more).map(|(number, _)| *number),
            part_number_marker: Some(after),
            max_parts: i32::try_from(most).ok(),
            parts: Some(
                parts
                    .into_iter()
                    .map(|(number, part)| Part {
                        part_number: Some(number),
                        e_tag: Some(ETag::Strong(part.etag)),
                        size: i64::try_from(part.size).ok(),
                        last_modified: Some(time(part.last_modified)),
                        ..Default::default()
                    })
                    .collect(),
            ),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            ..Default::default()
        })
    }

    pub(super) fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        if input
            .delimiter
            .as_ref()
            .is_some_and(|text| !text.is_empty())
        {
            return Err(s3_error!(
                NotImplemented,
                "stepfleet-local has no delimiter in a listing of uploads"
            ));
        }
        let most = page("max-uploads", input.max_uploads)?;
        let encodes = encodes(input.encoding_type.as_ref())?;
        let name = |key: String| if encodes { url(&key) } else { key };
        let prefix = input.prefix.clone().unwrap_or_default();
        let all = self.store.uploads(&input.bucket).map_err(refused)?;
        let mut all = behind(all, &input);
        all.retain(|upload| upload.key.starts_with(&prefix));
        let more = all.len() > most;
        all.truncate(most);
        let last = all.last().filter(|_| more);
        Ok(ListMultipartUploadsOutput {
            is_truncated: Some(more),
            next_key_marker: last.map(|last| name(last.key.clone())),
            next_upload_id_marker: last.map(|last| last.id.clone()),
            uploads: Some(
                all.into_iter()
                    .map(|upload| MultipartUpload {
                        key: Some(name(upload.key)),
                        upload_id: Some(upload.id),
                        initiated: Some(time(upload.at)),
                        ..Default::default()
                    })
                    .collect(),
            ),
            bucket: Some(input.bucket),
            prefix: Some(name(prefix)),
            key_marker: input.key_marker.map(name),
            upload_id_marker: input.upload_id_marker,
            max_uploads: i32::try_from(most).ok(),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }
}

/// Those behind the markers: all of later keys, and the later ones of the same key.
fn behind(mut all: Vec<Started>, input: &ListMultipartUploadsInput) -> Vec<Started> {
    let Some(key) = input.key_marker.as_deref().filter(|key| !key.is_empty()) else {
        return all;
    };
    let id = input.upload_id_marker.as_deref();
    let place = all
        .iter()
        .position(|one| one.key == key && Some(one.id.as_str()) == id);
    match place {
        Some(place) => all.drain(..=place).for_each(drop),
        None => all.retain(|one| one.key.as_str() > key),
    }
    all
}

/// `bytes=<first>-<last>`, both within the source.
fn source_range(text: &str, size: u64) -> S3Result<std::ops::Range<u64>> {
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last, within an \
             object of {size} bytes, not {text}"
        )
    };
    let (first, last) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .ok_or_else(invalid)?;
    let first: u64 = first.parse().map_err(|_| invalid())?;
    let last: u64 = last.parse().map_err(|_| invalid())?;
    if first > last || last >= size {
        return Err(invalid());
    }
    Ok(first..last + 1)
}
