//! Signal handling.
//!
//! [`ignore_stray_signals`] runs at the start of the process, before the arguments are parsed. A long-running verb chooses
//! how signals end it: [`stop_on_signal`] stops it, and [`InterruptFlag`] lets it clean up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::{flag, low_level};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Error, Exit, log_writer};
use crate::limits::{LOG_FLUSH_TIMEOUT, SIGNAL_EXIT_TIMEOUT};

/// Signals that ask the process to end, each with its name and the exit code of a process that it ends.
const TERMINATION_SIGNALS: [(i32, &str, Exit); 2] =
    [(SIGTERM, "SIGTERM", Exit::Terminated), (SIGINT, "SIGINT", Exit::Interrupted)];

/// Ignores signals that would end the process although they do not ask for that. SIGUSR1, SIGUSR2 and SIGALRM are sent by
/// mistake. SIGXFSZ comes from a write beyond `ulimit -f`; if it is ignored, the write fails with a message. A service also
/// ignores SIGHUP; other verbs end when their terminal closes.
///
/// Installs handlers instead of SIG_IGN, because child processes would inherit SIG_IGN.
pub(super) fn ignore_stray_signals(is_service: bool) -> Result<(), Error> {
    let hangup = is_service.then_some(SIGHUP);
    hangup.into_iter().chain([SIGUSR1, SIGUSR2, SIGALRM, SIGXFSZ]).try_for_each(ignore)
}

fn ignore(signal: i32) -> Result<(), Error> {
    flag::register(signal, Arc::default()).map(|_| ()).map_err(Error::Signals)
}

/// Ends the process at the second SIGTERM or SIGINT, with the exit code that shells use for the signal. The signal handler
/// does this itself, so nothing that hangs can delay it.
fn exit_on_second_signal() -> io::Result<()> {
    let was_signaled = Arc::new(AtomicBool::new(false));
    for (signal, _, exit) in TERMINATION_SIGNALS {
        // Actions run in the order of registration, so at the first signal the flag is not set yet.
        flag::register_conditional_shutdown(signal, exit as i32, was_signaled.clone())?;
        flag::register(signal, was_signaled.clone())?;
    }
    Ok(())
}

/// Cancels `stop` at the first SIGTERM or SIGINT. If the process has not ended within [`SIGNAL_EXIT_TIMEOUT`], ends it
/// with exit code 0, because everything that was answered is durable. The second signal ends the process at once.
///
/// Runs on its own thread, so that it also works while the service starts, stops or hangs.
pub(super) fn stop_on_signal(stop: CancellationToken) -> Result<(), Error> {
    exit_on_second_signal().map_err(Error::Signals)?;
    spawn_signal_thread(
        TERMINATION_SIGNALS.map(|(signal, ..)| signal),
        move |[mut terminate, mut interrupt]| async move {
            let (_, name, _) = TERMINATION_SIGNALS[tokio::select! {
                _ = terminate.recv() => 0,
                _ = interrupt.recv() => 1,
            }];
            stop.cancel();
            tracing::info!("{name}: stopping");
            sleep(SIGNAL_EXIT_TIMEOUT).await;
            tracing::warn!(
                "ending at once, because running work did not finish in time; nothing that was answered is lost, and \
                 the next start continues the work"
            );
            log_writer::write_and_flush("", LOG_FLUSH_TIMEOUT);
            low_level::exit(0);
        },
    )
}

/// Calls `reload` at each SIGHUP. Uses its own thread, because `reload` may read from a disk that hangs.
pub(super) fn on_hangup(mut reload: impl FnMut() + Send + 'static) -> Result<(), Error> {
    spawn_signal_thread([SIGHUP], move |[mut hangup]| async move {
        while hangup.recv().await.is_some() {
            reload();
        }
    })
}

/// Registers `signals`, and starts a thread that runs the future of `handle` with a stream of each.
fn spawn_signal_thread<const N: usize, F: Future<Output = ()>>(
    signals: [i32; N],
    handle: impl FnOnce([Signal; N]) -> F + Send + 'static,
) -> Result<(), Error> {
    let start = || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let mut streams = Vec::new();
        {
            let _inside = runtime.enter();
            for number in signals {
                streams.push(signal(SignalKind::from_raw(number))?);
            }
        }
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Ok(streams) = <[Signal; N]>::try_from(streams) {
                runtime.block_on(handle(streams));
            }
        })?;
        Ok(())
    };
    start().map_err(Error::Signals)
}

/// Remembers whether SIGTERM or SIGINT arrived, for a verb that cleans up before it ends. The second signal ends the
/// process at once.
pub(super) struct InterruptFlag {
    /// One flag for each of [`TERMINATION_SIGNALS`].
    received: [Arc<AtomicBool>; 2],
}

impl InterruptFlag {
    pub(super) fn register() -> Result<InterruptFlag, Error> {
        let interrupt = InterruptFlag { received: Default::default() };
        exit_on_second_signal().map_err(Error::Signals)?;
        for ((signal, ..), received) in TERMINATION_SIGNALS.iter().zip(&interrupt.received) {
            flag::register(*signal, received.clone()).map_err(Error::Signals)?;
        }
        Ok(interrupt)
    }

    /// Fails after a signal to end.
    pub(super) fn check(&self) -> Result<(), Error> {
        match TERMINATION_SIGNALS.iter().zip(&self.received).find(|(_, received)| received.load(Ordering::Relaxed)) {
            Some(((_, name, exit), _)) => Err(Error::Interrupted { name, exit: *exit }),
            None => Ok(()),
        }
    }
}
