//! Runs every target over its samples and over mutations of them.
//!
//! `STEPFLEET_FUZZ_RUNS` says how many inputs a target gets, `STEPFLEET_FUZZ_SEED`
//! which ones, and `STEPFLEET_FUZZ_TARGET` names one target.

#![expect(
    clippy::disallowed_methods,
    reason = "how long an input took is only printed"
)]

use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use stepfleet_fuzz::mutate::Mutator;
use stepfleet_fuzz::{TARGETS, Target, corpus};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What an input of 256 KB may take while it is read.
const MOST: usize = 10_000_000;

/// What the inputs of a target took at most.
#[derive(Debug, Default)]
struct Worst {
    bytes: usize,
    time: Duration,
}

/// The only test: nobody else allocates meanwhile.
#[test]
fn no_input_panics_or_takes_memory_without_bounds() {
    let runs = number("STEPFLEET_FUZZ_RUNS").unwrap_or(2_000);
    let seed = number("STEPFLEET_FUZZ_SEED").unwrap_or(1);
    let only = std::env::var("STEPFLEET_FUZZ_TARGET").ok();
    for target in TARGETS {
        if only.as_ref().is_none_or(|only| only == target.name) {
            run(target, seed, runs);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let said = std::env::var(variable).ok()?;
    Some(said.parse().expect(variable))
}

fn run(target: Target, seed: u64, runs: u64) {
    let samples = corpus::samples(target.name).expect("samples");
    let mut worst = Worst::default();
    for (at, sample) in samples.iter().enumerate() {
        feed(target, sample, &format!("sample {at}"), &mut worst);
    }
    let mut mutator = Mutator::new(seed, samples);
    let begun = Instant::now();
    for at in 0..runs {
        let input = mutator.input();
        feed(
            target,
            &input,
            &format!("input {at} of seed {seed}"),
            &mut worst,
        );
    }
    println!(
        "{}: {runs} inputs of seed {seed} in {:.0?}; the worst took {} KB and {:.1?}",
        target.name,
        begun.elapsed(),
        worst.bytes / 1_000,
        worst.time,
    );
}

fn feed(target: Target, input: &[u8], name: &str, worst: &mut Worst) {
    HEAP.reset_peak_usage();
    let (before, begun) = (HEAP.current_usage(), Instant::now());
    let ended = catch_unwind(|| (target.run)(input));
    let time = begun.elapsed();
    let bytes = HEAP.peak_usage().saturating_sub(before);
    worst.bytes = worst.bytes.max(bytes);
    worst.time = worst.time.max(time);
    if ended.is_ok() && bytes <= MOST {
        return;
    }
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.killer", target.name));
    std::fs::write(&kept, input).expect("a file");
    panic!(
        "{}, {name}: it {} ({bytes} bytes of memory for {} of input). It is kept in {}: \
         put it into corpus/{}/ with what mends it",
        target.name,
        if ended.is_err() {
            "panicked"
        } else {
            "took too much"
        },
        input.len(),
        kept.display(),
        target.name,
    );
}
