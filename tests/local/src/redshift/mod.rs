//! The Redshift Data API on a real PostgreSQL.

pub mod postgres;
