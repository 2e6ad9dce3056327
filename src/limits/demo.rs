//! Bounds of the demonstration and of its receiver.

use std::time::Duration;

use super::WEBHOOK_WINDOW;

// --- Receiver ---

/// Most open connections: one for each delivery that may be in flight.
pub const RECEIVER_CONNECTIONS: usize = 2 * WEBHOOK_WINDOW;
/// Bytes in the body of an accepted webhook: several times the largest that Muster sends.
pub const RECEIVER_BODY_BYTES: usize = 64 * 1024;
/// Webhook ids and account versions that are remembered to find repeated and late webhooks: about 10 MiB.
pub const RECEIVER_REMEMBERED: usize = 100_000;
/// Received webhooks that wait to be printed; beyond it their responses wait too.
pub const RECEIVER_QUEUED: usize = 256;

// --- Demonstration ---

/// How long the demonstration's simulated channel takes to answer: slow enough to watch.
pub const DEMO_DELAY: Duration = Duration::from_millis(400);
/// How long a `-coming` state may last in the demonstration. One account never gets an answer, so the time is short.
pub const DEMO_COMING_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the demonstration waits for a response, or for the next webhook.
pub const DEMO_TIMEOUT: Duration = Duration::from_secs(10);
