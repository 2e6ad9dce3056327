//! Checks each target with valid bytes that are changed at random. Any toolchain can run this.
//!
//! | variable | what it says |
//! |---|---|
//! | `MUSTER_FUZZ_CASES` | the number of cases in all |
//! | `MUSTER_FUZZ_TARGET` | the prefix of the targets' names |
//! | `MUSTER_FUZZ_SEED` | the seed of the cases: a failure prints it |
//! | `MUSTER_FUZZ_BYTES` | the largest size of an input |
//! | `MUSTER_FUZZ_CORPUS` | a directory to write the valid bytes to, for `cargo fuzz`; nothing else runs then |

mod mutation;

use std::cell::Cell;
use std::env;
use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::FuzzTarget;
use mutation::Mutation;

/// The default number of cases in all.
const DEFAULT_CASES: u64 = 30_000;
/// The default size limit of an input in bytes: enough for nesting and repetition to show their problems.
const DEFAULT_INPUT_BYTES: usize = 64 * 1024;
/// Most changes of one input.
const MAX_MUTATIONS: usize = 8;
/// Most attempts to shrink a failing input.
const MAX_SHRINK_ITERATIONS: u32 = 2_000;
/// Bytes of memory allowed for each byte of input: a `[` becomes a list with capacity for some values.
const MEMORY_PER_BYTE: u64 = 512;

fn numeric_variable(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[test]
fn no_bytes_from_outside_do_harm() {
    let prefix = env::var("MUSTER_FUZZ_TARGET").unwrap_or_default();
    let targets: Vec<_> = FuzzTarget::with_prefix(&prefix).collect();
    assert!(!targets.is_empty(), "no target's name begins with {prefix:?}");
    if let Some(corpus) = env::var_os("MUSTER_FUZZ_CORPUS") {
        return targets.iter().for_each(|target| write_seeds(&PathBuf::from(&corpus), target));
    }
    let seed = numeric_variable("MUSTER_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("MUSTER_FUZZ_SEED={seed} makes the same cases again");
    let cases = numeric_variable("MUSTER_FUZZ_CASES").unwrap_or(DEFAULT_CASES);
    let total_weight: u64 = targets.iter().map(|target| target.weight).sum();
    for target in targets {
        (target.seeds)().iter().for_each(|seed| target.check_input(seed));
        FuzzRun { target, cases: u64::max(1, cases * target.weight / total_weight), seed }.run_cases();
    }
}

fn write_seeds(corpus: &Path, target: &FuzzTarget) {
    let folder = corpus.join(target.name.replace('/', "-"));
    fs::create_dir_all(&folder).unwrap();
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(folder.join(number.to_string()), seed).unwrap();
    }
}

struct FuzzRun {
    target: &'static FuzzTarget,
    cases: u64,
    seed: u64,
}

impl FuzzRun {
    fn run_cases(&self) {
        let FuzzRun { target, cases, seed } = self;
        let seeds = (target.seeds)();
        let longest = numeric_variable("MUSTER_FUZZ_BYTES").map_or(DEFAULT_INPUT_BYTES, |bytes| bytes as usize);
        // Each target has its own cases, independent of the other targets.
        let key = rng_seed(target.name, *seed);
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
        let config = Config {
            cases: u32::try_from(*cases).unwrap(),
            failure_persistence: None,
            max_shrink_iters: MAX_SHRINK_ITERATIONS,
            ..Config::default()
        };
        let (started, slowest, most) = (Instant::now(), Cell::new((Duration::ZERO, 0)), Cell::new((0, 0)));
        // A single change reaches deepest: inputs with several changes are mostly rejected early.
        let changes = prop_oneof![vec(any::<Mutation>(), 1), vec(any::<Mutation>(), 2..=MAX_MUTATIONS)];
        let input = (any::<u32>(), changes);
        let outcome = TestRunner::new_with_rng(config, rng).run(&input, |(from, changes)| {
            let bytes = mutation::mutate_seed(&seeds, from, &changes, longest);
            let case_started = Instant::now();
            // A panic must not leave the measurement open.
            let mut tried = Ok(());
            let memory = measure(|| tried = catch_unwind(|| target.check_input(&bytes))).bytes_max;
            tried.unwrap_or_else(|panic| resume_unwind(panic));
            slowest.set(slowest.get().max((case_started.elapsed(), bytes.len())));
            most.set(most.get().max((memory, bytes.len())));
            if memory > target.memory_limit + MEMORY_PER_BYTE * bytes.len() as u64 {
                return Err(TestCaseError::fail(format!("{memory} bytes of memory for {}", bytes.len())));
            }
            Ok(())
        });
        let (slowest, most) = (slowest.get(), most.get());
        println!(
            "{:20} {cases:9} cases {:7.1} s  slowest {:?} for {} bytes  most memory {} KiB for {} bytes",
            target.name,
            started.elapsed().as_secs_f64(),
            slowest.0,
            slowest.1,
            most.0 / 1024,
            most.1
        );
        match outcome {
            Ok(()) => {}
            Err(TestError::Abort(reason)) => panic!("{} cannot go on: {reason}", target.name),
            Err(TestError::Fail(reason, (from, changes))) => {
                let bytes = mutation::mutate_seed(&seeds, from, &changes, longest);
                let excerpt = &bytes[..bytes.len().min(2_000)];
                panic!(
                    "{}: {reason}\nMUSTER_FUZZ_SEED={seed} MUSTER_FUZZ_TARGET={} makes it again: {} bytes by {changes:?}\n\
                    \"{}\"",
                    target.name,
                    target.name,
                    bytes.len(),
                    excerpt.escape_ascii()
                );
            }
        }
    }
}

/// A 256-bit key for the cases of one target.
fn rng_seed(name: &str, seed: u64) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize().into()
}
