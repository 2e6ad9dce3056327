//! The numbers in payloads of administrative events.
//!
//! Frozen: these numbers. Records in journals and backups hold them.

use super::payload::PayloadError;
use crate::domain::{AccountOrder, Channel, Role, SigningScheme};

pub(super) fn channel_from_number(number: u8) -> Result<Channel, PayloadError> {
    Channel::from_number(number).ok_or(PayloadError::Damaged)
}

pub(super) fn order_code(order: AccountOrder) -> u8 {
    match order {
        AccountOrder::Online => 1,
        AccountOrder::Recycle => 2,
    }
}

pub(super) fn order_from_code(code: u8) -> Result<AccountOrder, PayloadError> {
    AccountOrder::ALL.into_iter().find(|order| order_code(*order) == code).ok_or(PayloadError::Damaged)
}

pub(super) fn role_code(role: Role) -> u8 {
    match role {
        Role::Caller => 1,
        Role::Operator => 2,
        Role::Auditor => 3,
        Role::Admin => 4,
    }
}

pub(super) fn role_from_code(code: u8) -> Result<Role, PayloadError> {
    Role::ALL.into_iter().find(|role| role_code(*role) == code).ok_or(PayloadError::Damaged)
}

pub(super) fn scheme_code(scheme: SigningScheme) -> u8 {
    match scheme {
        SigningScheme::Standard => 1,
        SigningScheme::App => 2,
    }
}

pub(super) fn scheme_from_code(code: u8) -> Result<SigningScheme, PayloadError> {
    let schemes = [SigningScheme::Standard, SigningScheme::App];
    schemes.into_iter().find(|scheme| scheme_code(*scheme) == code).ok_or(PayloadError::Damaged)
}
