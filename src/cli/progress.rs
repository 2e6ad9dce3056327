//! How far something is that takes a while: on standard error, and only if a person looks at it.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for work of which it is known how much there is.
pub(super) struct ProgressDisplay {
    bar: ProgressBar,
}

impl ProgressDisplay {
    /// A bar that counts `unit`s, of which there are `length`, once that is known.
    pub(super) fn with_unit(what: &'static str, unit: &'static str) -> ProgressDisplay {
        // It hides itself where standard error is no terminal.
        let bar = ProgressBar::new(0).with_message(what);
        let shape = format!("{{msg}} {{wide_bar}} {{human_pos}} of {{human_len}} {unit}, {{per_sec}}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&shape) {
            bar.set_style(style);
        }
        ProgressDisplay { bar }
    }

    /// A count of bytes of which nobody knows how many there will be.
    pub(super) fn with_bytes(what: &'static str) -> ProgressDisplay {
        let bar = ProgressBar::new_spinner().with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} {spinner} {bytes}, {bytes_per_sec}, {elapsed}") {
            bar.set_style(style);
        }
        ProgressDisplay { bar }
    }

    /// It is here now, of so many.
    pub(super) fn set_position(&self, position: u64, of: u64) {
        // Telling costs more than counting.
        if position.is_multiple_of(1_024) || position == of {
            self.bar.set_length(of);
            self.bar.set_position(position);
        }
    }

    /// So many more.
    pub(super) fn advance(&self, count: u64) {
        self.bar.inc(count);
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
