//! What a gateway offers to accounts. The rules know nothing else about gateways.
//!
//! Each gateway states its offer in `DESCRIPTION` in `gateway/NAME/mod.rs`.

use super::{GatewayKind, VerifyType};

/// The offer of one gateway. Its provider defines it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GatewayOffer {
    /// The gateway's name in sentences, such as `the Cloud API`.
    pub title: &'static str,
    /// Whether it serves personal accounts, in addition to business accounts.
    pub serves_personal_accounts: bool,
    /// The verification methods that it supports.
    pub verify_types: &'static [VerifyType],
}

/// The offer of each gateway.
#[derive(Clone, Copy, Debug)]
pub struct GatewayOffers([&'static GatewayOffer; GatewayKind::ALL.len()]);

impl GatewayOffers {
    /// Collects the offer that `offer` returns for each gateway.
    pub fn new(offer: impl Fn(GatewayKind) -> &'static GatewayOffer) -> GatewayOffers {
        GatewayOffers(GatewayKind::ALL.map(offer))
    }

    /// The offer of one gateway.
    pub fn of(&self, gateway: GatewayKind) -> &'static GatewayOffer {
        self.0[usize::from(gateway.code())]
    }
}

impl GatewayOffer {
    /// Every account type and verification method.
    pub const EVERYTHING: GatewayOffer = GatewayOffer {
        title: "a gateway",
        serves_personal_accounts: true,
        verify_types: &[VerifyType::Sms, VerifyType::Voice, VerifyType::MissedCall, VerifyType::Internal],
    };

    /// Its verification methods in words, as in `sms (verifyType 0) and voice (1)`.
    pub(super) fn list_verify_types(&self) -> String {
        let mut text = String::new();
        for (at, verify_type) in self.verify_types.iter().enumerate() {
            let (name, code) = (verify_type.name(), verify_type.code());
            text += &match at {
                0 => format!("{name} (verifyType {code})"),
                _ if at + 1 == self.verify_types.len() => format!(" and {name} ({code})"),
                _ => format!(", {name} ({code})"),
            };
        }
        text
    }
}
