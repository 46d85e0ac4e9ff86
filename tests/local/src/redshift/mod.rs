//! The Redshift Data API on a real PostgreSQL.
