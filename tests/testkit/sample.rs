//! Accounts, contents and events, as plain as possible. A test that needs more changes the fields it needs.

use std::sync::Arc;
use std::time::Duration;

use muster::domain::{AccountNumber, AccountType, Content, Event, Fingerprint, Reason, TaskId, Timestamp, VerifyType};

/// The made-up account of this small number.
pub fn account(number: u64) -> AccountNumber {
    AccountNumber::from_stored(8_618_217_000_000 + number).unwrap()
}

/// Empty content. The same mark gives the same content.
pub fn content(mark: u8) -> Arc<Content> {
    content_with(mark, |_| {})
}

/// Content with this change.
pub fn content_with(mark: u8, change: impl FnOnce(&mut Content)) -> Arc<Content> {
    let mut content = Content { fingerprint: Fingerprint([mark; 32]), ..Content::empty() };
    change(&mut content);
    Arc::new(content)
}

/// A registration of a business account by SMS, which waits ten minutes, until `expires_at`.
pub fn registration_requested(task: u32, expires_at: Timestamp) -> Event {
    Event::RegistrationRequested {
        task: TaskId::new(task).unwrap(),
        verify_type: VerifyType::Sms,
        account_type: AccountType::Business,
        calling_code: "+86".parse().unwrap(),
        country: "CN".to_owned(),
        expires_at,
        lifetime: Duration::from_secs(600),
        reason: Reason::none(),
    }
}
