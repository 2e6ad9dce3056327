//! The fuzz targets of the product, for cargo-fuzz. `MUSTER_FUZZ_TARGET` names one target, or a prefix of several. With
//! a prefix, the first byte of an input chooses the target.

#![no_main]

use std::env;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster::fuzzing::Target;

static TARGETS: LazyLock<Vec<&'static Target>> = LazyLock::new(|| {
    let beginning = env::var("MUSTER_FUZZ_TARGET").unwrap_or_default();
    let targets: Vec<_> = Target::named(&beginning).collect();
    assert!(!targets.is_empty(), "no target's name begins with {beginning:?}");
    targets
});

fuzz_target!(|bytes: &[u8]| match (&TARGETS[..], bytes) {
    ([target], bytes) => target.try_with(bytes),
    (targets, [which, bytes @ ..]) => targets[usize::from(*which) % targets.len()].try_with(bytes),
    (_, []) => {}
});
