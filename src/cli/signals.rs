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
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let watching = async move {
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

#[expect(clippy::exit, reason = "the rest of the process may hang, which is why it is ended")]
fn end(kind: SignalKind) -> ! {
    std::process::exit(128 + kind.as_raw_value())
}
