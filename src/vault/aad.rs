//! What sealed bytes are for, and whose they are: they open for nothing else.

use crate::domain::AccountNumber;

/// What is bound to sealed bytes, so that they open nowhere else.
#[derive(Clone, Copy)]
pub(super) enum AadContext {
    DataKey,
    Content,
    Code,
    Pin,
    MasterKeyCheck,
    LogKey,
    RequestKey,
    ReceiverSettings,
    TenantSecret,
    NextMasterKey,
    PreviousMasterKey,
}

/// What is bound to an endpoint: what it is, and which channel's.
pub(super) fn receiver_settings_aad(channel: &[u8]) -> Vec<u8> {
    [&AadContext::ReceiverSettings.aad_for(None)[..], channel].concat()
}

/// What is bound to the secret of a tenant: what it is, and which key's.
pub(super) fn tenant_secret_aad(place: &[u8]) -> Vec<u8> {
    [&AadContext::TenantSecret.aad_for(None)[..], place].concat()
}

impl AadContext {
    /// What is authenticated beside the sealed bytes: what they are for, and whose they are.
    pub(super) fn aad_for(self, account: Option<AccountNumber>) -> [u8; 16] {
        let purpose: &[u8; 8] = match self {
            AadContext::DataKey => b"data key",
            AadContext::Content => b"content\0",
            AadContext::Code => b"code\0\0\0\0",
            AadContext::Pin => b"pin\0\0\0\0\0",
            AadContext::MasterKeyCheck => b"check\0\0\0",
            AadContext::LogKey => b"log key\0",
            AadContext::RequestKey => b"requests",
            AadContext::ReceiverSettings => b"endpoint",
            AadContext::TenantSecret => b"tenant\0\0",
            AadContext::NextMasterKey => b"next key",
            AadContext::PreviousMasterKey => b"last key",
        };
        let mut aad = [0; 16];
        aad[..8].copy_from_slice(purpose);
        aad[8..].copy_from_slice(&account.map_or(0, AccountNumber::get).to_le_bytes());
        aad
    }
}
