//! What is outside, in our own terms: buckets, the Data API, PostgreSQL, secrets,
//! topics and state machines. Each SDK is named in one file here, and nothing
//! here knows who asks.

pub(crate) mod call;
pub(crate) mod data_api;
pub(crate) mod deleting;
pub(crate) mod parts;
pub(crate) mod postgres;
pub(crate) mod s3;
pub(crate) mod secrets;
pub(crate) mod sns;
pub(crate) mod states;
pub(crate) mod store;

pub(crate) use call::Answer;
pub(crate) use store::{At, Conditional, Object, ObjectStore, Part, PutIf, To, Upload};
