//! Injects error responses; a seed determines which webhooks get them. Pure.

use super::received_webhook::ReceiverResponse;
use crate::webhooks::deterministic_random;

/// Injects errors with a given probability. The same seed gives the same errors if webhooks arrive in the same order.
pub struct FaultInjector {
    /// From 0 to 1.
    probability: f64,
    response: ReceiverResponse,
    seed: u64,
    draws: u64,
}

impl FaultInjector {
    /// Replaces the fraction `share` (0 to 1) of the responses to valid webhooks. The default share is 1 if a status or a
    /// code is given, else 0. `status` is the HTTP status of the replacement, and `code` the code in its body.
    pub fn new(share: Option<f64>, status: Option<u16>, code: Option<u32>, seed: u64) -> FaultInjector {
        let is_configured = status.is_some() || code.is_some();
        let probability = share.unwrap_or(if is_configured { 1.0 } else { 0.0 });
        let status = status.unwrap_or(if code.is_some() { 200 } else { 500 });
        let mut response = ReceiverResponse::rejection(status, "a fault, as requested");
        response.code = code.unwrap_or(response.code);
        if response.is_success() {
            response.message = ReceiverResponse::success().message;
        }
        FaultInjector { probability, response, seed, draws: 0 }
    }

    /// The error response for the next webhook; `None` for a normal response.
    pub(super) fn next_fault(&mut self) -> Option<ReceiverResponse> {
        self.draws += 1;
        // A float has 53 bits of precision, so the upper 53 bits give a number from 0 up to, but not including, 1.
        let number = (deterministic_random(self.seed, self.draws) >> 11) as f64 / (1_u64 << 53) as f64;
        (number < self.probability).then(|| self.response.clone())
    }
}

impl Default for FaultInjector {
    /// Injects no errors.
    fn default() -> FaultInjector {
        FaultInjector::new(None, None, None, 0)
    }
}
