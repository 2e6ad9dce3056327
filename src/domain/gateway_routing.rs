//! Which gateway serves which account.

use std::fmt;
use std::str::FromStr;

use super::{AccountNumber, AccountType};
use crate::limits::{ACCOUNT_DIGITS_MAX, REGISTER_CALLS};

// Frozen: the numbers and names of gateways and of provider calls. Journals hold the numbers; settings, origins and
// metrics hold the names.
/// A gateway to WhatsApp.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum GatewayKind {
    /// The built-in simulator, for trying things out.
    #[default]
    Simulator = 0,
    /// An operator's own process, over the bridge protocol.
    Bridge = 1,
    /// Meta's WhatsApp Business Cloud API.
    CloudApi = 2,
}

/// A call that a provider counts per number, or whose effect the provider repeats with each call. It is recorded before
/// it is made. After a crash, the service therefore knows that the call may have been made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProviderCall {
    /// Send a verification code.
    RequestCode = 1,
    /// Register the number.
    Register = 2,
    /// Deregister the number.
    Deregister = 3,
}

/// The gateway of one number, by account type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GatewayChoice {
    /// The gateway if the number is a personal account.
    pub personal: GatewayKind,
    /// The gateway if the number is a business account.
    pub business: GatewayKind,
}

/// Which gateway serves which account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GatewayRouting {
    /// The gateway if no rule matches.
    pub default: GatewayKind,
    /// The first rule that matches decides.
    pub rules: Vec<RoutingRule>,
}

/// A rule, as in `business=cloud_api` or `49=bridge`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoutingRule {
    /// The accounts that it matches.
    pub condition: RoutingCondition,
    /// Their gateway.
    pub gateway: GatewayKind,
}

/// Which accounts a rule matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoutingCondition {
    /// Accounts of this type.
    Type(AccountType),
    /// Numbers that begin with these digits.
    Prefix(u64),
}

/// The text is not a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an account type or the first digits of numbers, then = and a gateway, such as business=cloud_api or \
     49=bridge"
)]
pub struct MalformedRoutingRule;

// === impl GatewayKind ===

impl GatewayKind {
    /// All gateways, by code.
    pub const ALL: [GatewayKind; 3] = [GatewayKind::Simulator, GatewayKind::Bridge, GatewayKind::CloudApi];

    /// The gateway of an account that no event assigned to a gateway.
    pub const UNASSIGNED: GatewayKind = GatewayKind::Simulator;

    /// Its stored code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The gateway of a stored code.
    pub fn from_code(code: u8) -> Option<GatewayKind> {
        GatewayKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Its one-word name, as in the settings.
    pub fn name(self) -> &'static str {
        match self {
            GatewayKind::Simulator => "simulator",
            GatewayKind::Bridge => "bridge",
            GatewayKind::CloudApi => "cloud_api",
        }
    }

    /// The gateway of that name.
    pub fn from_name(name: &str) -> Option<GatewayKind> {
        GatewayKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

// === impl ProviderCall ===

impl ProviderCall {
    /// Its stored code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The call of a stored code.
    pub fn from_code(code: u8) -> Option<ProviderCall> {
        match code {
            1 => Some(ProviderCall::RequestCode),
            2 => Some(ProviderCall::Register),
            3 => Some(ProviderCall::Deregister),
            _ => None,
        }
    }

    /// Its one-word name.
    pub fn name(self) -> &'static str {
        match self {
            ProviderCall::RequestCode => "request_code",
            ProviderCall::Register => "register",
            ProviderCall::Deregister => "deregister",
        }
    }

    /// How many such calls a provider allows per number within
    /// [`REGISTER_CALLS_WINDOW`](crate::limits::REGISTER_CALLS_WINDOW); `None` if it does not count them.
    pub fn budget(self) -> Option<usize> {
        match self {
            ProviderCall::RequestCode => None,
            ProviderCall::Register | ProviderCall::Deregister => Some(REGISTER_CALLS),
        }
    }
}

// === impl GatewayRouting, GatewayChoice ===

impl GatewayRouting {
    /// The gateways of this number.
    pub fn choice_for(&self, account: AccountNumber) -> GatewayChoice {
        let gateway = |account_type| {
            let fits = |rule: &&RoutingRule| rule.condition.matches(account, account_type);
            self.rules.iter().find(fits).map_or(self.default, |rule| rule.gateway)
        };
        GatewayChoice { personal: gateway(AccountType::Personal), business: gateway(AccountType::Business) }
    }

    /// Whether any rule or the default names this gateway.
    pub fn uses(&self, kind: GatewayKind) -> bool {
        self.default == kind || self.rules.iter().any(|rule| rule.gateway == kind)
    }
}

impl GatewayChoice {
    /// The gateway for an account of this type.
    pub fn gateway_for(self, account_type: AccountType) -> GatewayKind {
        match account_type {
            AccountType::Personal => self.personal,
            AccountType::Business => self.business,
        }
    }
}

// === impl RoutingRule ===

impl RoutingCondition {
    fn matches(self, account: AccountNumber, account_type: AccountType) -> bool {
        match self {
            RoutingCondition::Type(of) => of == account_type,
            RoutingCondition::Prefix(digits) => {
                let mut number = account.get();
                while number > digits {
                    number /= 10;
                }
                number == digits
            }
        }
    }
}

impl FromStr for RoutingRule {
    type Err = MalformedRoutingRule;

    fn from_str(text: &str) -> Result<RoutingRule, MalformedRoutingRule> {
        let (condition, gateway) = text.split_once('=').ok_or(MalformedRoutingRule)?;
        let gateway = GatewayKind::from_name(gateway.trim()).ok_or(MalformedRoutingRule)?;
        let condition = match condition.trim() {
            "personal" => RoutingCondition::Type(AccountType::Personal),
            "business" => RoutingCondition::Type(AccountType::Business),
            digits => {
                let is_prefix = (1..=ACCOUNT_DIGITS_MAX).contains(&digits.len())
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
                    && !digits.starts_with('0');
                RoutingCondition::Prefix(digits.parse().ok().filter(|_| is_prefix).ok_or(MalformedRoutingRule)?)
            }
        };
        Ok(RoutingRule { condition, gateway })
    }
}

impl fmt::Display for RoutingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.condition {
            RoutingCondition::Type(AccountType::Personal) => f.write_str("personal")?,
            RoutingCondition::Type(AccountType::Business) => f.write_str("business")?,
            RoutingCondition::Prefix(digits) => write!(f, "{digits}")?,
        }
        write!(f, "={}", self.gateway.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = ["8618=bridge", "business=cloud_api", "49=bridge"].map(|rule| rule.parse().unwrap()).to_vec();
        let routing = GatewayRouting { default: GatewayKind::Simulator, rules };
        for (account, personal, business) in [
            ("861821726231", "bridge", "bridge"),
            ("861721726231", "simulator", "cloud_api"),
            ("4915112345678", "bridge", "cloud_api"),
            ("15550783881", "simulator", "cloud_api"),
        ] {
            let choice = routing.choice_for(account.parse().unwrap());
            assert_eq!([choice.personal.name(), choice.business.name()], [personal, business], "{account}");
        }
    }

    /// Tables of gateways are indexed by the code.
    #[test]
    fn codes_are_indexes() {
        for (index, kind) in GatewayKind::ALL.into_iter().enumerate() {
            assert_eq!((usize::from(kind.code()), GatewayKind::from_name(kind.name())), (index, Some(kind)));
        }
    }

    #[test]
    fn rules_are_written_as_they_are_read() {
        for text in ["personal=bridge", "business=cloud_api", "49=simulator", "861821726231=bridge"] {
            assert_eq!(text.parse::<RoutingRule>().unwrap().to_string(), text);
        }
        for text in
            ["", "49", "=bridge", "049=bridge", "49=bridges", "+49=bridge", "both=bridge", "1234567890123456=bridge"]
        {
            assert_eq!(text.parse::<RoutingRule>(), Err(MalformedRoutingRule), "{text}");
        }
    }
}
