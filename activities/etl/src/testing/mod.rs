//! The loader against a bucket and a warehouse in memory.

mod cases;
mod closed;
mod crash;
mod faulty;
mod headers;
mod isolation;
mod long_keys;
mod machines;
mod planning;
mod reprocessing;
mod spelling;
mod statements;
mod world;
