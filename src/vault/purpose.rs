//! What sealed bytes are for, and whose they are: they open for nothing else.

use crate::domain::AccountNumber;

/// What is bound to sealed bytes, so that they open nowhere else.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    DataKey,
    Content,
    Code,
    Pin,
    MasterKeyCheck,
    LogKey,
    RequestKey,
    Endpoint,
    Tenant,
    NextMasterKey,
    LastMasterKey,
}

/// What is bound to an endpoint: what it is, and which channel's.
pub(super) fn endpoint_aad(channel: &[u8]) -> Vec<u8> {
    [&Purpose::Endpoint.bound_to(None)[..], channel].concat()
}

/// What is bound to the secret of a tenant: what it is, and which key's.
pub(super) fn tenant_aad(place: &[u8]) -> Vec<u8> {
    [&Purpose::Tenant.bound_to(None)[..], place].concat()
}

impl Purpose {
    /// What is authenticated beside the sealed bytes: what they are for, and whose they are.
    pub(super) fn bound_to(self, account: Option<AccountNumber>) -> [u8; 16] {
        let purpose: &[u8; 8] = match self {
            Purpose::DataKey => b"data key",
            Purpose::Content => b"content\0",
            Purpose::Code => b"code\0\0\0\0",
            Purpose::Pin => b"pin\0\0\0\0\0",
            Purpose::MasterKeyCheck => b"check\0\0\0",
            Purpose::LogKey => b"log key\0",
            Purpose::RequestKey => b"requests",
            Purpose::Endpoint => b"endpoint",
            Purpose::Tenant => b"tenant\0\0",
            Purpose::NextMasterKey => b"next key",
            Purpose::LastMasterKey => b"last key",
        };
        let mut aad = [0; 16];
        aad[..8].copy_from_slice(purpose);
        aad[8..].copy_from_slice(&account.map_or(0, AccountNumber::get).to_le_bytes());
        aad
    }
}
