//! The payloads of administrative events, in frozen versions. A channel is 1 for sync, 2 for register.
//!
//! Frozen: fields, their order, their types and the numbers in them. Records in journals and backups hold these bytes.

use bincode::{BorrowDecode, Encode};

/// Type 1001.
#[derive(Encode, BorrowDecode)]
pub(super) struct ProjectionRebuiltV1<'a> {
    pub(super) projection: &'a str,
    pub(super) differences: u64,
    pub(super) from: &'a str,
}

/// Types 1002 and 1003.
#[derive(Encode, BorrowDecode)]
pub(super) struct BackupV1<'a> {
    pub(super) position: u64,
    pub(super) from: &'a str,
}

/// Types 1004, 1006 and 1007. The text is the URL in 1004 and the reason in 1006; it is empty in 1007.
#[derive(Encode, BorrowDecode)]
pub(super) struct WebhookV1<'a> {
    pub(super) channel: u8,
    pub(super) text: &'a str,
    pub(super) from: &'a str,
}

/// Type 1005. A scheme is 1 for Standard Webhooks, 2 for tenant and app secret.
#[derive(Encode, BorrowDecode)]
pub(super) struct WebhookSecretSetV1<'a> {
    pub(super) channel: u8,
    pub(super) scheme: u8,
    pub(super) name: &'a str,
    pub(super) grace_until: Option<i64>,
    pub(super) from: &'a str,
}

/// Types 1008, 1009 and 1016. `reason` is empty in 1008, `what` in 1016.
#[derive(Encode, BorrowDecode)]
pub(super) struct WebhookDeliveriesV1<'a> {
    pub(super) channel: u8,
    pub(super) what: &'a str,
    pub(super) deliveries: u64,
    pub(super) reason: &'a str,
    pub(super) from: &'a str,
}

/// Type 1010. A role is 1 for caller, 2 for operator, 3 for auditor, 4 for admin.
#[derive(Encode, BorrowDecode)]
pub(super) struct ApiKeyCreatedV1<'a> {
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) role: u8,
    pub(super) accounts: Vec<&'a str>,
    pub(super) expires: Option<i64>,
    pub(super) hash: [u8; 32],
    pub(super) from: &'a str,
}

/// Type 1011.
#[derive(Encode, BorrowDecode)]
pub(super) struct ApiKeyRevokedV1<'a> {
    pub(super) id: u64,
    pub(super) from: &'a str,
}

/// Types 1012, 1017 and 1018.
#[derive(Encode, BorrowDecode)]
pub(super) struct MasterKeyRotatedV1<'a> {
    pub(super) rewrapped: u64,
    pub(super) from: &'a str,
}

/// Type 1013. The role is always caller.
#[derive(Encode, BorrowDecode)]
pub(super) struct TenantKeyCreatedV1<'a> {
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) tenant: &'a str,
    pub(super) accounts: Vec<&'a str>,
    pub(super) expires: Option<i64>,
    pub(super) from: &'a str,
}

/// Type 1014. Order 1 is online, 2 is recycle.
#[derive(Encode, BorrowDecode)]
pub(super) struct AccountsOrderedV1<'a> {
    pub(super) order: u8,
    pub(super) accounts: u64,
    pub(super) reason: &'a str,
    pub(super) from: &'a str,
}

/// Type 1015. The gateway is the number of its kind.
#[derive(Encode, BorrowDecode)]
pub(super) struct ReconciliationOrderedV1<'a> {
    pub(super) gateway: u8,
    pub(super) reason: &'a str,
    pub(super) from: &'a str,
}

/// Type 1019. The filter is in the order of its names.
#[derive(Encode, BorrowDecode)]
pub(super) struct EventsExportedV1<'a> {
    pub(super) format: &'a str,
    pub(super) filter: Vec<(&'a str, &'a str)>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) from: &'a str,
}

/// Type 1020.
#[derive(Encode, BorrowDecode)]
pub(super) struct AccountBundleExportedV1<'a> {
    pub(super) account: &'a str,
    pub(super) from: &'a str,
}

/// Type 1021.
#[derive(Encode, BorrowDecode)]
pub(super) struct GenerationBegunV1<'a> {
    pub(super) generation: u32,
    pub(super) previous: u32,
    pub(super) fork: u64,
    pub(super) root: [u8; 32],
    pub(super) master_key: Option<u32>,
    pub(super) reason: &'a str,
    pub(super) from: &'a str,
}

/// Type 1022.
#[derive(Encode, BorrowDecode)]
pub(super) struct WebhookResyncedV1<'a> {
    pub(super) channel: u8,
    pub(super) accounts: u64,
    pub(super) reason: &'a str,
    pub(super) from: &'a str,
}

// --- Version 2: with the id of the master key that holds afterwards. ---

/// Types 1002 and 1003.
#[derive(Encode, BorrowDecode)]
pub(super) struct BackupV2<'a> {
    pub(super) position: u64,
    pub(super) master_key: Option<u32>,
    pub(super) from: &'a str,
}

/// Types 1012, 1017 and 1018.
#[derive(Encode, BorrowDecode)]
pub(super) struct MasterKeyRotatedV2<'a> {
    pub(super) rewrapped: u64,
    pub(super) master_key: Option<u32>,
    pub(super) from: &'a str,
}
