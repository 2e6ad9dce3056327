//! Shows the progress of a long task on standard error, if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar.
pub(super) struct ProgressDisplay {
    bar: ProgressBar,
}

impl ProgressDisplay {
    /// A bar that counts in `unit`s, up to the total that [`set_position`](ProgressDisplay::set_position) gets.
    pub(super) fn with_unit(what: &'static str, unit: &'static str) -> ProgressDisplay {
        // The bar hides itself if standard error is not a terminal.
        let bar = ProgressBar::new(0).with_message(what);
        let shape = format!("{{msg}} {{wide_bar}} {{human_pos}} of {{human_len}} {unit}, {{per_sec}}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&shape) {
            bar.set_style(style);
        }
        ProgressDisplay { bar }
    }

    /// A counter of bytes, for an unknown total.
    pub(super) fn with_bytes(what: &'static str) -> ProgressDisplay {
        let bar = ProgressBar::new_spinner().with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} {spinner} {bytes}, {bytes_per_sec}, {elapsed}") {
            bar.set_style(style);
        }
        ProgressDisplay { bar }
    }

    /// Sets the position and the total.
    pub(super) fn set_position(&self, position: u64, total: u64) {
        // Updating the bar for each unit would slow the task down.
        if position.is_multiple_of(1_024) || position == total {
            self.bar.set_length(total);
            self.bar.set_position(position);
        }
    }

    /// Adds to the position.
    pub(super) fn advance(&self, count: u64) {
        self.bar.inc(count);
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
