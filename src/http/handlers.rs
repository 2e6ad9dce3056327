//! The endpoints that ask something of accounts: what is asked into commands, and their outcomes.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use tokio::task::spawn_blocking;

use super::Api;
use super::body::Body;
use super::endpoint::Endpoint;
use super::envelope::Answer;
use super::error::{Error, NotBegun, Undone};
use super::requests::{self, Entry, Import, Query};
use crate::access::{Authorized, Pass, Requester};
use crate::actors::{self, Outcome};
use crate::domain::{AccountNumber, Command, Refusal};
use crate::journal::Origin;
use crate::limits::{INLINE_BODY_BYTES, SEALED_BY_ONE_CORE};

/// A request to one of the endpoints here, read and not yet looked into.
pub(super) struct Call {
    pub(super) endpoint: Endpoint,
    pub(super) post: Post,
    pub(super) query: Query,
    pub(super) body: Body,
    pub(super) caller: Requester,
}

/// The endpoints that ask something of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Post {
    /// batchInsert and batchOnline.
    Import(Import),
    /// batchRecycle.
    Recycle,
    /// submitPhone.
    Phone,
    /// submitVerifyCode.
    Code,
}

/// Carries a request out, if its caller still may: the body, or another request with the same key, was waited for.
pub(super) async fn carry_out(api: &Api, call: Call) -> Result<Answer, Error> {
    let Call { post, query, body, caller, .. } = call;
    let _sealing = match post {
        Post::Import(_) | Post::Phone | Post::Code => Some(api.vault().sealing().await),
        Post::Recycle => None,
    };
    let authorized = caller.authorize()?;
    let pass = authorized.pass();
    match post {
        Post::Import(import) => import_accounts(api, import, &query, body, &caller, pass).await,
        Post::Recycle => recycle(api, &query, &body, &caller, pass).await,
        Post::Phone => submit_phone(api, &body, &authorized).await,
        Post::Code => submit_verify_code(api, &body, &authorized).await,
    }
}

impl Post {
    /// One word for it, which is never changed: the keys that callers give are kept under it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Post::Import(Import::Insert) => "batchInsert",
            Post::Import(Import::Online) => "batchOnline",
            Post::Recycle => "batchRecycle",
            Post::Phone => "submitPhone",
            Post::Code => "submitVerifyCode",
        }
    }
}

/// batchInsert and batchOnline.
async fn import_accounts(
    api: &Api,
    import: Import,
    query: &Query,
    body: Body,
    caller: &Requester,
    pass: &Pass,
) -> Result<Answer, Error> {
    let details = requests::wants_details(query)?;
    let body = Arc::new(body);
    let commands = import_commands(api, import, Sealing::WhereNeeded, &body, pass).await?;
    let accounts = commands.iter().map(|(account, _)| *account).collect();
    let mut outcomes = execute(api, commands, caller).await?;
    if outcomes.iter().any(lacks_content) {
        // Known numbers that were registered and never imported.
        let commands = import_commands(api, import, Sealing::All, &body, pass).await?;
        let refused = outcomes.iter_mut().zip(commands).filter(|(outcome, _)| lacks_content(outcome));
        let (refused, commands): (Vec<_>, Vec<_>) = refused.unzip();
        let now = rest_of(commands.len(), execute(api, commands, caller).await);
        for (outcome, now) in refused.into_iter().zip(now) {
            *outcome = now;
        }
    }
    Ok(Answer::Batch { accounts, outcomes, details })
}

/// batchRecycle.
async fn recycle(api: &Api, query: &Query, body: &[u8], caller: &Requester, pass: &Pass) -> Result<Answer, Error> {
    let details = requests::wants_details(query)?;
    let max_batch = api.settings().max_batch;
    let comes_back = api.rules().auto_reconnect;
    let accounts = match requests::recycled(body, max_batch)? {
        Some(accounts) => accounts,
        None => api.roster().wanted_online(comes_back).into_iter().filter(|account| pass.sees(*account)).collect(),
    };
    let mut outcomes = Vec::with_capacity(accounts.len());
    // All accounts may be more than may be under way at once; a batch of them never is for its own size.
    for batch in accounts.chunks(max_batch.max(1)) {
        let commands = batch.iter().map(|account| (*account, Command::Recycle { comes_back })).collect();
        match execute(api, commands, caller).await {
            Err(why) if outcomes.is_empty() => return Err(why.into()),
            executed => outcomes.extend(rest_of(batch.len(), executed)),
        }
    }
    Ok(Answer::Batch { accounts, outcomes, details })
}

/// submitPhone.
async fn submit_phone(api: &Api, body: &[u8], authorized: &Authorized) -> Result<Answer, Error> {
    let asked = requests::registration(body)?;
    authorized.pass().needs_account(asked.account)?;
    // The account gets its key now, so that the code can be sealed when it comes.
    api.vault().enrol(asked.account)?;
    let task = api.accounts().new_task()?;
    let command = Command::Register {
        task,
        verify_type: asked.verify_type,
        account_type: asked.account_type,
        calling_code: asked.calling_code,
        country: asked.country,
        lifetime: api.rules().registration_lifetime,
    };
    accepted(asked.account, api.accounts().execute(asked.account, command, authorized.origin()).await?)?;
    Ok(Answer::Task(task))
}

/// submitVerifyCode.
async fn submit_verify_code(api: &Api, body: &[u8], authorized: &Authorized) -> Result<Answer, Error> {
    let requests::Code { account, code } = requests::code(body)?;
    authorized.pass().needs_account(account)?;
    // Without a key nothing was ever asked of this number, so nothing waits for a code.
    let refusal = Refusal::NoRegistrationWaiting;
    let code = api.vault().seal_code(account, &code)?.ok_or(Error::Refused { account, refusal })?;
    accepted(account, api.accounts().execute(account, Command::SubmitCode { code }, authorized.origin()).await?)?;
    Ok(Answer::Success)
}

/// What became of the accounts of a request.
pub(super) type Outcomes = Vec<Result<(), Undone>>;

/// Which accounts' contents are sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sealing {
    All,
    /// Not of known accounts that keep what is stored: that is the larger part of the work on most online requests.
    WhereNeeded,
}

/// Reads, checks and seals, a large body on a thread for blocking work.
async fn import_commands(
    api: &Api,
    import: Import,
    sealing: Sealing,
    body: &Arc<Body>,
    pass: &Pass,
) -> Result<Vec<(AccountNumber, Command)>, Error> {
    if body.len() <= INLINE_BODY_BYTES {
        return read_and_seal(api, import, sealing, body, pass);
    }
    let (api, body, pass) = (api.clone(), body.clone(), pass.clone());
    spawn_blocking(move || read_and_seal(&api, import, sealing, &body, &pass)).await?
}

/// Nothing leaves the request in clear.
fn read_and_seal(
    api: &Api,
    import: Import,
    sealing: Sealing,
    body: &[u8],
    pass: &Pass,
) -> Result<Vec<(AccountNumber, Command)>, Error> {
    let entries = requests::imports(body, import, api.settings().max_batch)?;
    entries.iter().try_for_each(|entry| pass.needs_account(entry.account))?;
    on_all_cores(&entries, |entry: &Entry<'_>| {
        let Entry { account, replace, .. } = *entry;
        let seal = || api.vault().seal_content(account, &entry.content());
        let command = match import {
            Import::Insert => Command::Import { content: seal()? },
            Import::Online if sealing == Sealing::WhereNeeded && !replace && api.roster().has(account) => {
                Command::BringOnline { content: None, replace }
            }
            Import::Online => Command::BringOnline { content: Some(seal()?), replace },
        };
        Ok((account, command))
    })
}

/// Maps `items`; many of them on all cores, in the same order.
fn on_all_cores<T: Sync, U: Send>(items: &[T], map: impl Fn(&T) -> Result<U, Error> + Sync) -> Result<Vec<U>, Error> {
    if items.len() <= SEALED_BY_ONE_CORE {
        return items.iter().map(map).collect();
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(SEALED_BY_ONE_CORE);
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

/// Carries out the commands, and says of each account why it was not done. Sealing a large batch takes a while, so the
/// caller is asked about again.
async fn execute(api: &Api, commands: Vec<(AccountNumber, Command)>, caller: &Requester) -> Result<Outcomes, NotBegun> {
    let authorized = caller.authorize().map_err(NotBegun::Denied)?;
    let bound = commands.iter().try_for_each(|(account, _)| authorized.pass().needs_account(*account));
    bound.map_err(NotBegun::Denied)?;
    let origin = authorized.origin();
    let executed = api.accounts().execute_all(commands, origin).await.map_err(NotBegun::Accounts)?;
    Ok(outcomes(executed, origin))
}

/// What became of the accounts of a request, which is logged where they failed inside.
pub(super) fn outcomes(executed: Vec<Result<Outcome, actors::Error>>, origin: Origin) -> Outcomes {
    let outcome = |outcome: Result<Outcome, _>| outcome.map_err(Undone::Failed)?.map(drop).map_err(Undone::Refused);
    let outcomes: Outcomes = executed.into_iter().map(outcome).collect();
    if let Some(Err(Undone::Failed(error))) = outcomes.iter().find(|it| matches!(it, Err(Undone::Failed(_)))) {
        tracing::error!(request = %origin.request, %error, "accounts of a request failed inside");
    }
    outcomes
}

/// The outcomes of the last accounts of a request, of which others are done already: an error of them all is each one's.
fn rest_of(accounts: usize, executed: Result<Outcomes, NotBegun>) -> Outcomes {
    executed.unwrap_or_else(|why| vec![Err(why.into()); accounts])
}

fn lacks_content(outcome: &Result<(), Undone>) -> bool {
    matches!(outcome, Err(Undone::Refused(Refusal::NoContent)))
}

fn accepted(account: AccountNumber, outcome: Outcome) -> Result<(), Error> {
    outcome.map(drop).map_err(|refusal| Error::Refused { account, refusal })
}
