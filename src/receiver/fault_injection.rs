//! Which webhooks are answered with a fault, by a seed. Pure.

use super::received_webhook::ReceiverResponse;
use crate::webhooks::deterministic_random;

/// A share of faults. The same seed draws the same ones, as far as webhooks arrive in the same order.
pub struct FaultInjector {
    /// From 0 to 1.
    probability: f64,
    response: ReceiverResponse,
    seed: u64,
    draws: u64,
}

impl FaultInjector {
    /// This share of all answers, from 0 to 1, has this HTTP status and this code in the body. Without a share, it is all
    /// of them if a status or a code is named, else none.
    pub fn new(share: Option<f64>, status: Option<u16>, code: Option<u32>, seed: u64) -> FaultInjector {
        let is_named = status.is_some() || code.is_some();
        let probability = share.unwrap_or(if is_named { 1.0 } else { 0.0 });
        let status = status.unwrap_or(if code.is_some() { 200 } else { 500 });
        let mut response = ReceiverResponse::rejection(status, "a fault, as asked for");
        response.code = code.unwrap_or(response.code);
        if response.is_success() {
            response.message = ReceiverResponse::success().message;
        }
        FaultInjector { probability, response, seed, draws: 0 }
    }

    /// Whether the next webhook is answered with a fault, and with which.
    pub(super) fn next_fault(&mut self) -> Option<ReceiverResponse> {
        self.draws += 1;
        // The upper 53 bits are a number from 0 to 1, exclusive, that a float holds.
        let drawn = (deterministic_random(self.seed, self.draws) >> 11) as f64 / (1_u64 << 53) as f64;
        (drawn < self.probability).then(|| self.response.clone())
    }
}

impl Default for FaultInjector {
    /// None.
    fn default() -> FaultInjector {
        FaultInjector::new(None, None, None, 0)
    }
}
