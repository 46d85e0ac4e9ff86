//! S3 on files under one folder.
