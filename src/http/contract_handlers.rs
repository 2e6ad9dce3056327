//! Handlers of the contract's POST endpoints: they turn requests into commands, and commands into outcomes.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use tokio::task::spawn_blocking;

use super::Api;
use super::account_fields::ImportKind;
use super::contract_envelope::{CallOutcome, EnvelopeKind};
use super::contract_error::{BatchError, Error};
use super::contract_requests::{self, ImportItem, Query};
use super::request_body::RequestBody;
use super::request_head::RequestHead;
use crate::access::{AuthContext, Authorization, Requester};
use crate::actors::CommandResult;
use crate::api::{ItemError, item_outcomes};
use crate::domain::{AccountNumber, Command, CommandRejection};
use crate::limits::{INLINE_BODY_BYTES, SEALED_PER_CORE};

/// A request whose body is read but not parsed.
pub(super) struct ContractCall {
    /// The name of the API's operation. Idempotency keys are stored under it.
    pub(super) name: &'static str,
    pub(super) kind: EnvelopeKind,
    pub(super) operation: ContractOperation,
    pub(super) head: Arc<RequestHead>,
    pub(super) body: RequestBody,
    pub(super) requester: Requester,
}

/// The POST endpoints of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContractOperation {
    /// batchInsert and batchOnline.
    Import(ImportKind),
    Recycle,
    SubmitPhone,
    SubmitVerifyCode,
}

/// Executes a request. Checks the caller again first: reading the body, or waiting for a request with the same key, takes
/// time.
pub(super) async fn execute_call(api: &Api, call: ContractCall) -> Result<CallOutcome, Error> {
    let ContractCall { operation: post, head, body, requester: caller, .. } = call;
    let _sealing = match post {
        ContractOperation::Import(_) | ContractOperation::SubmitPhone | ContractOperation::SubmitVerifyCode => {
            Some(api.vault().lock_for_sealing().await)
        }
        ContractOperation::Recycle => None,
    };
    let authorized = caller.authorize()?;
    let auth = authorized.context();
    match post {
        ContractOperation::Import(import) => import_accounts(api, import, &head.query, body, &caller, auth).await,
        ContractOperation::Recycle => recycle(api, &head.query, &body, &caller, auth).await,
        ContractOperation::SubmitPhone => submit_phone(api, &body, &authorized).await,
        ContractOperation::SubmitVerifyCode => submit_verify_code(api, &body, &authorized).await,
    }
}

/// batchInsert and batchOnline.
async fn import_accounts(
    api: &Api,
    import: ImportKind,
    query: &Query,
    body: RequestBody,
    caller: &Requester,
    auth: &AuthContext,
) -> Result<CallOutcome, Error> {
    let details = contract_requests::parse_details_query(query)?;
    let body = Arc::new(body);
    let commands = build_import_commands(api, import, ContentSealing::WhereNeeded, &body, auth).await?;
    let accounts = commands.iter().map(|(account, _)| *account).collect();
    let mut outcomes = execute_commands(api, commands, caller).await?;
    if outcomes.iter().any(lacks_content) {
        // These numbers were registered but never imported.
        let commands = build_import_commands(api, import, ContentSealing::All, &body, auth).await?;
        let rejected = outcomes.iter_mut().zip(commands).filter(|(outcome, _)| lacks_content(outcome));
        let (rejected, commands): (Vec<_>, Vec<_>) = rejected.unzip();
        let now = outcomes_or_error(commands.len(), execute_commands(api, commands, caller).await);
        for (outcome, now) in rejected.into_iter().zip(now) {
            *outcome = now;
        }
    }
    Ok(CallOutcome::Batch { accounts, outcomes, details })
}

async fn recycle(
    api: &Api,
    query: &Query,
    body: &[u8],
    caller: &Requester,
    auth: &AuthContext,
) -> Result<CallOutcome, Error> {
    let details = contract_requests::parse_details_query(query)?;
    let max_batch = api.settings().max_batch;
    let comes_back = api.rules().auto_reconnect;
    let accounts = match contract_requests::parse_recycle(body, max_batch)? {
        Some(accounts) => accounts,
        None => {
            api.roster().desired_online(comes_back).into_iter().filter(|account| auth.may_access(*account)).collect()
        }
    };
    let mut outcomes = Vec::with_capacity(accounts.len());
    // All accounts together may exceed the limit on commands under way; one batch does not.
    for batch in accounts.chunks(max_batch.max(1)) {
        let commands = batch.iter().map(|account| (*account, Command::Recycle { comes_back })).collect();
        match execute_commands(api, commands, caller).await {
            Err(why) if outcomes.is_empty() => return Err(why.into()),
            executed => outcomes.extend(outcomes_or_error(batch.len(), executed)),
        }
    }
    Ok(CallOutcome::Batch { accounts, outcomes, details })
}

async fn submit_phone(api: &Api, body: &[u8], authorized: &Authorization) -> Result<CallOutcome, Error> {
    let request = contract_requests::parse_submit_phone(body)?;
    authorized.context().require_account(request.account)?;
    // The account gets its data key now, so that the code can be sealed on arrival.
    api.vault().create_data_key(request.account)?;
    let task = api.accounts().next_task_id()?;
    let command = Command::Register {
        task,
        verify_type: request.verify_type,
        account_type: request.account_type,
        calling_code: request.calling_code,
        country: request.country,
        lifetime: api.rules().registration_lifetime,
    };
    require_accepted(request.account, api.accounts().execute(request.account, command, authorized.origin()).await?)?;
    Ok(CallOutcome::Task(task))
}

async fn submit_verify_code(api: &Api, body: &[u8], authorized: &Authorization) -> Result<CallOutcome, Error> {
    let contract_requests::SubmitVerifyCodeRequest { account, code } =
        contract_requests::parse_submit_verify_code(body)?;
    authorized.context().require_account(account)?;
    // A number without a data key was never registered or imported, so no registration waits for a code.
    let rejection = CommandRejection::NoRegistrationWaiting;
    let code = api.vault().seal_code(account, &code)?.ok_or(Error::Rejected { account, rejection })?;
    require_accepted(
        account,
        api.accounts().execute(account, Command::SubmitCode { code }, authorized.origin()).await?,
    )?;
    Ok(CallOutcome::Success)
}

/// One outcome per account of a request.
pub(super) type ItemOutcomes = Vec<Result<(), ItemError>>;

/// Which accounts' content is sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ContentSealing {
    All,
    /// Skips known accounts that keep their stored content. That saves most of the work of a typical batchOnline.
    WhereNeeded,
}

/// Parses, validates and seals the accounts; a large body on a blocking thread.
async fn build_import_commands(
    api: &Api,
    import: ImportKind,
    sealing: ContentSealing,
    body: &Arc<RequestBody>,
    auth: &AuthContext,
) -> Result<Vec<(AccountNumber, Command)>, Error> {
    if body.len() <= INLINE_BODY_BYTES {
        return parse_and_seal(api, import, sealing, body, auth);
    }
    let (api, body, auth) = (api.clone(), body.clone(), auth.clone());
    spawn_blocking(move || parse_and_seal(&api, import, sealing, &body, &auth)).await?
}

/// Parses the accounts and seals their secrets, so that no plaintext leaves the request.
fn parse_and_seal(
    api: &Api,
    import: ImportKind,
    sealing: ContentSealing,
    body: &[u8],
    auth: &AuthContext,
) -> Result<Vec<(AccountNumber, Command)>, Error> {
    let entries = contract_requests::parse_imports(body, import, api.settings().max_batch)?;
    entries.iter().try_for_each(|entry| auth.require_account(entry.account))?;
    map_on_all_cores(&entries, |entry: &ImportItem<'_>| {
        let ImportItem { account, replace, .. } = *entry;
        let seal = || api.vault().seal_content(account, &entry.content());
        let command = match import {
            ImportKind::Insert => Command::Import { content: seal()? },
            ImportKind::Online
                if sealing == ContentSealing::WhereNeeded && !replace && api.roster().contains(account) =>
            {
                Command::BringOnline { content: None, replace }
            }
            ImportKind::Online => Command::BringOnline { content: Some(seal()?), replace },
        };
        Ok((account, command))
    })
}

/// Maps `items` in order. Uses all cores if there are many.
fn map_on_all_cores<T: Sync, U: Send>(
    items: &[T],
    map: impl Fn(&T) -> Result<U, Error> + Sync,
) -> Result<Vec<U>, Error> {
    if items.len() <= SEALED_PER_CORE {
        return items.iter().map(map).collect();
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(SEALED_PER_CORE);
    let (mine, others) = items.split_at(share.min(items.len()));
    let map_share = |share: &[T]| share.iter().map(&map).collect::<Result<Vec<U>, Error>>();
    thread::scope(|scope| {
        let others: Vec<_> = others.chunks(share).map(|share| scope.spawn(move || map_share(share))).collect();
        let mut mapped = map_share(mine)?;
        for other in others {
            mapped.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(mapped)
    })
}

/// Executes the commands and returns one outcome per account. Checks the caller again, because sealing a large batch takes a
/// while.
async fn execute_commands(
    api: &Api,
    commands: Vec<(AccountNumber, Command)>,
    caller: &Requester,
) -> Result<ItemOutcomes, BatchError> {
    let authorized = caller.authorize().map_err(BatchError::Auth)?;
    let bound = commands.iter().try_for_each(|(account, _)| authorized.context().require_account(*account));
    bound.map_err(BatchError::Auth)?;
    let origin = authorized.origin();
    let executed = api.accounts().execute_all(commands, origin).await.map_err(BatchError::Accounts)?;
    Ok(item_outcomes(executed, origin))
}

/// The outcomes of a later part of a request. Earlier accounts are done already, so a batch error becomes one error per
/// account.
fn outcomes_or_error(accounts: usize, executed: Result<ItemOutcomes, BatchError>) -> ItemOutcomes {
    executed.unwrap_or_else(|why| vec![Err(why.into()); accounts])
}

fn lacks_content(outcome: &Result<(), ItemError>) -> bool {
    matches!(outcome, Err(ItemError::Rejected(CommandRejection::NoContent)))
}

fn require_accepted(account: AccountNumber, outcome: CommandResult) -> Result<(), Error> {
    outcome.map(drop).map_err(|rejection| Error::Rejected { account, rejection })
}
