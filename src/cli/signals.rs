//! What SIGTERM and SIGINT do.

use std::io;
use std::thread;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first signal. The second ends the process at once, with the exit code that a shell gives for
/// the signal: whoever asks twice does not want to wait, and nothing that was answered is lost by it.
///
/// On a thread of its own, so that it also works while the service starts, stops or hangs.
pub(super) fn watch(stop: CancellationToken) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt, too_large) = {
        let _inside = runtime.enter();
        let too_large = signal(SignalKind::from_raw(FILE_TOO_LARGE))?;
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, too_large)
    };
    let watching = async move {
        let _heeded = too_large;
        for is_second in [false, true] {
            let (name, kind) = tokio::select! {
                _ = terminate.recv() => ("SIGTERM", SignalKind::terminate()),
                _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt()),
            };
            if is_second {
                tracing::warn!("{name} again: ending at once");
                end(kind);
            }
            tracing::info!("{name}: stopping");
            stop.cancel();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(watching))?;
    Ok(())
}

/// SIGXFSZ, which a write beyond the limit on a file's size (`ulimit -f`) raises. While somebody listens for it, it does
/// not end the process, and the write fails with a sentence.
const FILE_TOO_LARGE: i32 = 25;

#[expect(clippy::exit, reason = "the rest of the process may hang, which is why it is ended")]
fn end(kind: SignalKind) -> ! {
    std::process::exit(128 + kind.as_raw_value())
}
