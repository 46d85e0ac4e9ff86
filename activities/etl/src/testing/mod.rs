//! The loader against a bucket and a warehouse in memory.

mod alike;
mod cases;
mod closed;
mod crash;
mod faulty;
mod isolation;
mod long_keys;
mod machines;
mod planning;
mod reprocessing;
mod spelling;
mod starving;
mod statements;
mod world;
