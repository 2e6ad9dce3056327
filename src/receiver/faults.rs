//! Which webhooks are answered with a fault, by a seed. Pure.

use super::arrival::Answer;
use crate::webhooks::drawn;

/// A share of faults. The same seed draws the same ones, as far as webhooks arrive in the same order.
pub struct Faults {
    /// From 0 to 1.
    share: f64,
    answer: Answer,
    seed: u64,
    drawn: u64,
}

impl Faults {
    /// This share of all answers, from 0 to 1, has this HTTP status and this code in the body. Without a share, it is all
    /// of them if a status or a code is named, else none.
    pub fn new(share: Option<f64>, status: Option<u16>, code: Option<u32>, seed: u64) -> Faults {
        let is_named = status.is_some() || code.is_some();
        let share = share.unwrap_or(if is_named { 1.0 } else { 0.0 });
        let status = status.unwrap_or(if code.is_some() { 200 } else { 500 });
        let mut answer = Answer::refusal(status, "a fault, as asked for");
        answer.code = code.unwrap_or(answer.code);
        if answer.is_success() {
            answer.message = Answer::success().message;
        }
        Faults { share, answer, seed, drawn: 0 }
    }

    /// Whether the next webhook is answered with a fault, and with which.
    pub(super) fn draw(&mut self) -> Option<Answer> {
        self.drawn += 1;
        // The upper 53 bits are a number from 0 to 1, exclusive, that a float holds.
        let drawn = (drawn(self.seed, self.drawn) >> 11) as f64 / (1_u64 << 53) as f64;
        (drawn < self.share).then(|| self.answer.clone())
    }
}

impl Default for Faults {
    /// None.
    fn default() -> Faults {
        Faults::new(None, None, None, 0)
    }
}
