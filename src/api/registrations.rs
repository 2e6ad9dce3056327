//! submitPhone and submitVerifyCode: the registration of a number.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{ContractCallError, ServiceHandles};
use crate::access::Requester;
use crate::actors::{self, CommandResult};
use crate::domain::{
    AccountNumber, AccountType, CallingCode, Command, CommandRejection, Event, Reason, TaskId, VerifyType,
};
use crate::idempotency::RequestStart;
use crate::journal::{Journal, JournalRecord, StreamId};

/// A number to register.
#[derive(Debug, PartialEq, Eq)]
pub struct PhoneRegistration {
    /// The account: calling code and phone number.
    pub account: AccountNumber,
    /// How the code reaches the phone.
    pub verify_type: VerifyType,
    /// Personal or business.
    pub account_type: AccountType,
    /// The calling code.
    pub calling_code: CallingCode,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
}

/// submitPhone: starts a registration. Returns its task id.
pub async fn submit_phone(
    service: &ServiceHandles,
    requester: &Requester,
    registration: PhoneRegistration,
    reason: Reason,
) -> Result<TaskId, ContractCallError> {
    let PhoneRegistration { account, verify_type, account_type, calling_code, country } = registration;
    let _sealing = service.vault.lock_for_sealing().await;
    let authorization = requester.authorize()?;
    authorization.context().require_account(account)?;
    // The account gets its data key now, so that the code can be sealed on arrival.
    service.vault.create_data_key(account)?;
    let task = service.accounts.next_task_id()?;
    let lifetime = service.rules.registration_lifetime;
    let command = Command::Register { task, verify_type, account_type, calling_code, country, lifetime, reason };
    require_accepted(account, service.accounts.execute(account, command, authorization.origin()).await?)?;
    Ok(task)
}

/// submitVerifyCode: submits the code for a registration that waits for one.
pub async fn submit_verify_code(
    service: &ServiceHandles,
    requester: &Requester,
    account: AccountNumber,
    code: &str,
    reason: Reason,
) -> Result<(), ContractCallError> {
    let _sealing = service.vault.lock_for_sealing().await;
    let authorization = requester.authorize()?;
    authorization.context().require_account(account)?;
    // A number without a data key was never registered or imported, so no registration waits for a code.
    let rejection = CommandRejection::NoRegistrationWaiting;
    let code = service.vault.seal_code(account, code)?.ok_or(ContractCallError::Rejected { account, rejection })?;
    let command = Command::SubmitCode { code, reason };
    require_accepted(account, service.accounts.execute(account, command, authorization.origin()).await?)
}

/// The task id of the registration that an earlier execution of the same request started.
pub async fn find_submitted_phone(
    journal: &Journal,
    account: AccountNumber,
    intent: RequestStart,
) -> Result<Option<TaskId>, ContractCallError> {
    let task = |event: &Event| {
        let Event::RegistrationRequested { task, .. } = event else { return None };
        Some(*task)
    };
    find_earlier_event(journal, account, intent, task).await
}

/// Whether an earlier execution of the same request submitted the code.
pub async fn has_submitted_code(
    journal: &Journal,
    account: AccountNumber,
    intent: RequestStart,
) -> Result<bool, ContractCallError> {
    let submitted = |event: &Event| matches!(event, Event::CodeSubmitted { .. }).then_some(());
    Ok(find_earlier_event(journal, account, intent, submitted).await?.is_some())
}

/// The first value that `select` finds in the account's events from an earlier execution of the same request.
async fn find_earlier_event<T>(
    journal: &Journal,
    account: AccountNumber,
    intent: RequestStart,
    select: impl Fn(&Event) -> Option<T>,
) -> Result<Option<T>, ContractCallError> {
    let journal = journal.clone();
    let RequestStart { request, position } = intent;
    let records =
        spawn_blocking(move || journal.history_after(StreamId::Account(account), position, usize::MAX)).await?;
    let records = records.map_err(|error| actors::Error::from(Arc::new(error)))?;
    let mut events =
        records.iter().filter(|record| record.origin.request == request).filter_map(JournalRecord::account_event);
    Ok(events.find_map(|(_, event)| select(event)))
}

fn require_accepted(account: AccountNumber, outcome: CommandResult) -> Result<(), ContractCallError> {
    outcome.map(drop).map_err(|rejection| ContractCallError::Rejected { account, rejection })
}
