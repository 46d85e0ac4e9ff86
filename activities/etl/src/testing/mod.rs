//! The loader against a bucket and a warehouse in memory.

mod again;
mod alike;
mod cases;
mod closed;
mod crash;
mod faulty;
mod headers;
mod isolation;
mod lacking;
mod live;
mod long_keys;
mod machines;
mod packing;
mod planning;
mod reprocessing;
mod spelling;
mod starving;
mod statements;
mod world;
