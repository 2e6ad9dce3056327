//! batchInsert, batchOnline and batchRecycle: commands for many accounts, with one outcome for each account.

use std::ops::Deref;
use std::panic::resume_unwind;
use std::thread;

use super::{BatchError, ContractCallError, ItemError, ServiceHandles, item_outcomes};
use crate::access::{AuthContext, Requester};
use crate::domain::{AccountNumber, AccountType, Command, CommandRejection, ContentTexts, Labels, Reason};
use crate::limits::SEALED_PER_CORE;
use crate::vault::PlaintextContent;

/// The two calls that import accounts with their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// batchInsert.
    Insert,
    /// batchOnline.
    Online,
}

/// One account of batchInsert or batchOnline. No `Debug`: it holds secrets.
pub struct AccountImport<T> {
    /// The account.
    pub account: AccountNumber,
    /// `override`; false for batchInsert.
    pub replace: bool,
    /// Personal or business.
    pub account_type: AccountType,
    /// The texts of its content.
    pub texts: ContentTexts<T>,
    /// Replaces all labels of the account; `None` keeps them.
    pub labels: Option<Labels>,
}

/// For which accounts the content is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentSealing {
    /// For every account.
    All,
    /// Not for known accounts, which keep their stored content. This saves most of the work of a typical batchOnline.
    WhereNeeded,
}

/// A command for each account of a request.
pub type AccountCommands = Vec<(AccountNumber, Command)>;

/// One outcome for each account of a request.
pub type ItemOutcomes = Vec<Result<(), ItemError>>;

/// The accounts of a batch, and their outcomes in the same order.
pub type AccountOutcomes = (Vec<AccountNumber>, ItemOutcomes);

/// batchInsert and batchOnline. `build_commands` parses the accounts, and seals their content with [`seal_imports`].
pub async fn import_accounts<E, F>(
    service: &ServiceHandles,
    requester: &Requester,
    build_commands: impl Fn(ContentSealing, AuthContext) -> F,
) -> Result<AccountOutcomes, E>
where
    E: From<ContractCallError>,
    F: Future<Output = Result<AccountCommands, E>>,
{
    let _sealing = service.vault.lock_for_sealing().await;
    let authorization = requester.authorize().map_err(ContractCallError::Auth)?;
    let commands = build_commands(ContentSealing::WhereNeeded, authorization.context().clone()).await?;
    let accounts = commands.iter().map(|(account, _)| *account).collect();
    let mut outcomes = execute_commands(service, commands, requester).await.map_err(ContractCallError::from)?;
    if outcomes.iter().any(lacks_content) {
        // These numbers were registered but never imported, so their commands need the content.
        let commands = build_commands(ContentSealing::All, authorization.context().clone()).await?;
        let rejected = outcomes.iter_mut().zip(commands).filter(|(outcome, _)| lacks_content(outcome));
        let (rejected, commands): (Vec<_>, Vec<_>) = rejected.unzip();
        let retried = outcomes_or_error(commands.len(), execute_commands(service, commands, requester).await);
        for (outcome, retried) in rejected.into_iter().zip(retried) {
            *outcome = retried;
        }
    }
    Ok((accounts, outcomes))
}

/// batchRecycle. `None` recycles all accounts that callers want online and the requester may access. `batch_size` is the
/// number of accounts whose commands run at once.
pub async fn recycle_accounts(
    service: &ServiceHandles,
    requester: &Requester,
    accounts: Option<Vec<AccountNumber>>,
    reason: &Reason,
    batch_size: usize,
) -> Result<AccountOutcomes, ContractCallError> {
    let authorization = requester.authorize()?;
    let comes_back = service.rules.auto_reconnect;
    let accounts = accounts.unwrap_or_else(|| {
        let desired_online = service.roster.desired_online(comes_back).into_iter();
        desired_online.filter(|account| authorization.context().may_access(*account)).collect()
    });
    let mut outcomes = Vec::with_capacity(accounts.len());
    // The commands of all accounts may exceed the limit of commands in progress; one batch does not.
    for batch in accounts.chunks(batch_size.max(1)) {
        let recycle = || Command::Recycle { comes_back, reason: reason.clone() };
        let commands = batch.iter().map(|account| (*account, recycle())).collect();
        match execute_commands(service, commands, requester).await {
            Err(error) if outcomes.is_empty() => return Err(error.into()),
            executed => outcomes.extend(outcomes_or_error(batch.len(), executed)),
        }
    }
    Ok((accounts, outcomes))
}

/// Seals the content of the accounts, so that no plaintext leaves the request, and builds their commands.
pub fn seal_imports<T: Deref<Target = str> + Sync>(
    service: &ServiceHandles,
    kind: ImportKind,
    sealing: ContentSealing,
    imports: &[AccountImport<T>],
    reason: &Reason,
    auth: &AuthContext,
) -> Result<AccountCommands, ContractCallError> {
    imports.iter().try_for_each(|import| auth.require_account(import.account))?;
    map_on_all_cores(imports, |import| {
        let AccountImport { account, replace, .. } = *import;
        let (reason, labels) = (reason.clone(), import.labels.clone());
        let seal = || service.vault.seal_content(account, &import.content());
        let command = match kind {
            ImportKind::Insert => Command::Import { content: seal()?, reason, labels },
            ImportKind::Online
                if sealing == ContentSealing::WhereNeeded && !replace && service.roster.contains(account) =>
            {
                Command::BringOnline { content: None, replace, reason, labels }
            }
            ImportKind::Online => Command::BringOnline { content: Some(seal()?), replace, reason, labels },
        };
        Ok((account, command))
    })
}

impl<T: Deref<Target = str>> AccountImport<T> {
    /// The account's content, for the vault.
    pub fn content(&self) -> PlaintextContent<'_> {
        let texts = ContentTexts::from_fn(|field| self.texts.get(field).map(|text| &**text));
        PlaintextContent { account_type: self.account_type, texts }
    }
}

/// Maps `items` in order. Uses all cores if there are many items.
fn map_on_all_cores<T: Sync, U: Send>(
    items: &[T],
    map: impl Fn(&T) -> Result<U, ContractCallError> + Sync,
) -> Result<Vec<U>, ContractCallError> {
    if items.len() <= SEALED_PER_CORE {
        return items.iter().map(map).collect();
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(SEALED_PER_CORE);
    let (mine, others) = items.split_at(share.min(items.len()));
    let map_share = |share: &[T]| share.iter().map(&map).collect::<Result<Vec<U>, ContractCallError>>();
    thread::scope(|scope| {
        let others: Vec<_> = others.chunks(share).map(|share| scope.spawn(move || map_share(share))).collect();
        let mut mapped = map_share(mine)?;
        for other in others {
            mapped.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(mapped)
    })
}

/// Executes the commands and returns one outcome per account. Checks the requester again, because sealing a large batch
/// takes a while.
async fn execute_commands(
    service: &ServiceHandles,
    commands: AccountCommands,
    requester: &Requester,
) -> Result<ItemOutcomes, BatchError> {
    let authorization = requester.authorize().map_err(BatchError::Auth)?;
    let permitted = commands.iter().try_for_each(|(account, _)| authorization.context().require_account(*account));
    permitted.map_err(BatchError::Auth)?;
    let origin = authorization.origin();
    let executed = service.accounts.execute_all(commands, origin).await.map_err(BatchError::Accounts)?;
    Ok(item_outcomes(executed, origin))
}

/// The outcomes of a later part of a request. The commands of an earlier part have run already, so a batch error becomes
/// one error for each account.
fn outcomes_or_error(accounts: usize, executed: Result<ItemOutcomes, BatchError>) -> ItemOutcomes {
    executed.unwrap_or_else(|error| vec![Err(error.into()); accounts])
}

fn lacks_content(outcome: &Result<(), ItemError>) -> bool {
    matches!(outcome, Err(ItemError::Rejected(CommandRejection::NoContent)))
}
