//! Additional authenticated data: the purpose and owner of sealed bytes, so that they open for nothing else.
//!
//! Frozen: the bytes of each purpose and their order. Sealed bytes open only with the data that they were sealed with.

use crate::domain::AccountNumber;

/// The purpose of sealed bytes, bound to them so that they open for no other purpose.
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

/// The authenticated data of receiver settings: the purpose and the channel.
pub(super) fn receiver_settings_aad(channel: &[u8]) -> Vec<u8> {
    [&AadContext::ReceiverSettings.aad_for(None)[..], channel].concat()
}

/// The authenticated data of a tenant's secret: the purpose and the row's key.
pub(super) fn tenant_secret_aad(row_key: &[u8]) -> Vec<u8> {
    [&AadContext::TenantSecret.aad_for(None)[..], row_key].concat()
}

impl AadContext {
    /// The authenticated data of sealed bytes: their purpose and their account.
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
