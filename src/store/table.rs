//! The small tables, with the names that they are stored under.
//!
//! Frozen: these names and numbers. Existing data directories and backups have their rows under the names, and the
//! write-ahead log has the numbers.

/// The small tables. Keys are ordered bytes.
///
/// A put is durable after the next append or [`Store::sync`](super::Store::sync). It survives a killed process after the
/// next [`Store::flush`](super::Store::flush).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Wrapped data keys of accounts, and other values sealed with the master key (`vault`).
    Keys,
    /// Account snapshots (`journal`): caches.
    Snapshots,
    /// Webhook cursors (`webhooks`).
    Cursors,
    /// Retry state of accounts whose webhooks wait for a retry (`webhooks`).
    Lanes,
    /// Dead letters: webhook deliveries that failed for good (`webhooks`).
    DeadLetters,
    /// The result of each attempt to deliver a webhook (`webhooks`).
    AttemptLog,
    /// Webhook deliveries to send again (`webhooks`).
    Redeliveries,
    /// Settings of webhook receivers that operators changed, sealed (`webhooks`).
    ReceiverSettings,
    /// Webhook deliveries that succeeded at the first attempt, many in one row (`webhooks`).
    SuccessLog,
    /// Responses to repeat when a caller retries a request (`idempotency`).
    IdempotencyRecords,
    /// Stream offsets of gateway reports, which reports were ignored, and Meta's ids of numbers (`gateway`).
    ReportOffsets,
    /// API keys whose expiry was noticed (`access`).
    ExpiredKeys,
}

impl Table {
    /// All tables, in declaration order.
    pub const ALL: [Table; 12] = [
        Table::Keys,
        Table::Snapshots,
        Table::Cursors,
        Table::Lanes,
        Table::DeadLetters,
        Table::AttemptLog,
        Table::Redeliveries,
        Table::ReceiverSettings,
        Table::SuccessLog,
        Table::IdempotencyRecords,
        Table::ReportOffsets,
        Table::ExpiredKeys,
    ];

    /// The stored name.
    pub fn name(self) -> &'static str {
        match self {
            Table::Keys => "keys",
            Table::Snapshots => "snapshots",
            Table::Cursors => "cursors",
            Table::Lanes => "lanes",
            Table::DeadLetters => "dead_letters",
            Table::AttemptLog => "deliveries",
            Table::Redeliveries => "again",
            Table::ReceiverSettings => "endpoints",
            Table::SuccessLog => "taken",
            Table::IdempotencyRecords => "answers",
            Table::ReportOffsets => "gateways",
            Table::ExpiredKeys => "expired_keys",
        }
    }

    /// Its number in the write-ahead log; 0 is that of the blocks.
    pub(super) fn code(self) -> u8 {
        match self {
            Table::Keys => 1,
            Table::Snapshots => 2,
            Table::Cursors => 3,
            Table::Lanes => 4,
            Table::DeadLetters => 5,
            Table::AttemptLog => 6,
            Table::Redeliveries => 7,
            Table::ReceiverSettings => 8,
            Table::SuccessLog => 9,
            Table::IdempotencyRecords => 10,
            Table::ReportOffsets => 11,
            Table::ExpiredKeys => 12,
        }
    }
}
