//! What a gateway offers to accounts. The rules know gateways by this alone.
//!
//! Each gateway states its offer in `DESCRIPTION` in `gateway/NAME/mod.rs`.

use super::{GatewayKind, VerifyType};

/// What one gateway offers. Its provider states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GatewayOffer {
    /// The gateway in sentences, as in `the Cloud API`.
    pub title: &'static str,
    /// Whether it serves personal accounts, and not business accounts alone.
    pub serves_personal_accounts: bool,
    /// How it can have verification codes sent.
    pub verify_types: &'static [VerifyType],
}

/// What each gateway offers.
#[derive(Clone, Copy, Debug)]
pub struct GatewayOffers([&'static GatewayOffer; GatewayKind::ALL.len()]);

impl GatewayOffers {
    /// The offers that `offer` returns.
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
