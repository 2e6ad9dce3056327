//! The binary: the allocator and the command line.

use std::process::ExitCode;

// With the system's allocator large imports spend noticeably longer in malloc. The benches use this one too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    muster::cli::run()
}
