//! `muster demo`.

use std::io;

use tokio_util::sync::CancellationToken;

use super::{Error, logging, output, signals};
use crate::config::{LogFormat, LogSettings};
use crate::demo;

/// Watch the product work with a dozen accounts and a registration
///
/// Runs the real service on a temporary directory, with a caller and a webhook receiver.
///
/// Prints requests and webhooks as they happen. Takes a few seconds, and leaves nothing behind.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DemoArgs {}

const EXAMPLES: &str = "Exit codes: 0 all webhooks arrived as expected, 1 they did not.";

impl DemoArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        // Only errors are logged: the demonstration itself is printed on standard output.
        logging::start(
            &LogSettings { filter: "error".to_owned(), format: LogFormat::Text, full_numbers: false },
            None,
        )?;
        let stop = CancellationToken::new();
        signals::stop_on_signal(stop.clone())?;
        let mut printed = Ok(());
        let print = |text: &str| {
            if let Err(error) = output::print(text) {
                printed = Err(error);
                stop.cancel();
            }
        };
        let outcome = demo::run(output::uses_color(&io::stdout()), print, &stop);
        printed.and(outcome.map_err(Error::from))
    }
}
