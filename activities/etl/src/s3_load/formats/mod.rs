//! How files are written: formats, options, headers; what goes with what, and how
//! it is said to Redshift's COPY.
//!
//! Which option goes with which format, and where, is one table ([`rules`]): the
//! checks come from it, and so does the table in the docs. What cannot be done is
//! refused before anything is sent, with its path.

mod copy;
mod cut;
mod head;
mod header;
mod options;
mod rules;

pub(crate) use copy::{JsonMapping, how};
pub(crate) use cut::{Cutter, Field, LONGEST, Marks, Record, RecordFault};
pub(crate) use head::{HEAD, Head};
pub use header::Header;
pub(crate) use header::{HeaderFault, columns_of, names_of};
pub use options::{Encoding, Options};
pub(crate) use rules::faults_on;
