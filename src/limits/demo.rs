//! Bounds of the demonstration, and of the receiver that it has.

use std::time::Duration;

use super::WEBHOOK_WINDOW;

// --- Receiver ---

/// Open connections, most: one for each delivery that may be under way.
pub const RECEIVER_CONNECTIONS: usize = 2 * WEBHOOK_WINDOW;
/// Bytes in the body of a webhook that is taken: several times the largest that Muster sends.
pub const RECEIVER_BODY_BYTES: usize = 64 * 1024;
/// Ids of webhooks, and versions of accounts, that are remembered to find repeated and late ones: about 10 MiB.
pub const RECEIVER_REMEMBERED: usize = 100_000;
/// Webhooks that arrived and wait to be told of; beyond it they wait for their answers too.
pub const RECEIVER_QUEUED: usize = 256;

// --- Demonstration ---

/// How long its simulated channel takes for an answer: slow enough to watch.
pub const DEMO_DELAY: Duration = Duration::from_millis(400);
/// How long a `-coming` state may last in it: long enough for every answer, and nobody waits a minute for the account
/// that gets none.
pub const DEMO_COMING_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it waits for an answer, or for the next webhook.
pub const DEMO_TIMEOUT: Duration = Duration::from_secs(10);
