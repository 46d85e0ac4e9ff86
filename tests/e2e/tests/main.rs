//! End-to-end scenarios: the real binaries, and one machine's AWS between them.
//!
//! Each scenario starts a `stepfleet-local` of its own, on free ports. Those
//! that only speak AWS (`crash`, `duplicate`, `drain`) take another endpoint by
//! `STEPFLEET_ENDPOINT`, which has to answer for account 123456789012 in
//! eu-west-1, as `stepfleet-local serve` does; what they make there has names
//! of its own.

mod closed_loop;
mod crash;
mod drain;
mod duplicate;
mod process;
mod proxy;
mod refusals;
mod succession;
mod world;
