//! The autoscaler: from `ActivityScheduleTime` alarms to replicas.
//!
//! `observe -> fold -> decide -> record -> act`, on a tick and at once on a
//! signal. [`decision`], [`fold`], [`record`] and [`signal`] are pure: they wait
//! for nothing and call nobody.

pub mod decision;
pub mod fold;
pub mod record;
pub mod signal;
mod time;
