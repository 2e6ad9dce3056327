//! The definition of each operation, for every interface: HTTP, the console and the command line.
//!
//! A new operation is one constant here. Over HTTP it also needs an endpoint, in `ENDPOINTS` of
//! `http/v1/AREA.rs`.

use crate::access::{AuthContext, AuthError};
use crate::domain::{AccountNumber, Permission};

/// An operation. Its constant is its only definition; endpoints and console pages refer to it.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its name: `operationId` in the OpenAPI document. Frozen: stored idempotency records depend on it.
    pub name: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Which accounts it touches. An API key that covers only some accounts is checked against it.
    pub accounts: AccountScope,
    /// Whether it changes anything.
    pub effect: Effect,
    /// How long it may take.
    pub time_limit: TimeLimit,
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// A sender whose signature is valid: a gateway, or Meta.
    Signature,
    /// A requester with this permission.
    Permission(Permission),
}

/// The accounts that an operation touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountScope {
    /// No account.
    None,
    /// The account that the request names.
    One,
    /// The accounts that the request's filter selects; all accounts without a filter.
    Filtered,
    /// All accounts.
    All,
    /// Accounts from the body or the roster. Only the operation knows them, and it checks each of them.
    SelfChecked,
}

/// The accounts that one request selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountSelection {
    /// All accounts, or the operation touches no account.
    All,
    /// One account.
    One(AccountNumber),
    /// The accounts whose number begins with these digits.
    Prefix(String),
}

impl AccountSelection {
    /// The account that a filter names; all accounts if it names no account.
    pub fn of(account: Option<AccountNumber>) -> AccountSelection {
        account.map_or(AccountSelection::All, AccountSelection::One)
    }
}

/// Whether an operation changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only reads.
    Reads,
    /// It records events, or has another effect. A second call would repeat that effect.
    Writes,
}

/// How long an operation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// The response head must follow within `http.request_timeout`.
    RequestTimeout,
    /// No limit: the time depends on the length of the journal, on a receiver or on a gateway.
    None,
}

impl Operation {
    const fn reading(name: &'static str, permission: Permission, accounts: AccountScope) -> Operation {
        let (access, time_limit) = (Access::Permission(permission), TimeLimit::RequestTimeout);
        Operation { name, access, accounts, effect: Effect::Reads, time_limit }
    }

    const fn writing(name: &'static str, permission: Permission, accounts: AccountScope) -> Operation {
        Operation { effect: Effect::Writes, ..Operation::reading(name, permission, accounts) }
    }

    const fn public(name: &'static str) -> Operation {
        Operation { access: Access::Public, ..Operation::reading(name, Permission::Read, AccountScope::None) }
    }

    const fn signed(name: &'static str, effect: Effect) -> Operation {
        Operation { access: Access::Signature, effect, ..Operation::public(name).unlimited() }
    }

    const fn unlimited(self) -> Operation {
        Operation { time_limit: TimeLimit::None, ..self }
    }

    /// Checks that `auth` permits this operation on the selected accounts.
    pub fn check_permission(&self, auth: &AuthContext, selection: &AccountSelection) -> Result<(), AuthError> {
        match self.access {
            // Nothing to check here: anyone may call it, or the endpoint verifies the signature.
            Access::Public | Access::Signature => return Ok(()),
            Access::Permission(permission) => auth.require(permission)?,
        }
        match (self.accounts, selection) {
            (AccountScope::None | AccountScope::SelfChecked, _) => Ok(()),
            (AccountScope::One, AccountSelection::One(account)) => auth.require_account(*account),
            (AccountScope::Filtered, AccountSelection::One(account)) if auth.may_access(*account) => Ok(()),
            (AccountScope::Filtered, AccountSelection::Prefix(prefix)) if is_within_bounds(auth, prefix) => Ok(()),
            (AccountScope::All | AccountScope::One | AccountScope::Filtered, _) => auth.require_all_accounts(),
        }
    }
}

/// Whether one of the key's account prefixes covers all accounts with `prefix`.
fn is_within_bounds(auth: &AuthContext, prefix: &str) -> bool {
    auth.account_prefixes().iter().any(|bound| prefix.starts_with(bound.as_str()))
}

// === The documented calls ===

/// Imports accounts.
pub const BATCH_INSERT: Operation = Operation::writing("batchInsert", Permission::Call, AccountScope::SelfChecked);
/// Lists all accounts with their status.
pub const QUERY_WHATSAPP_STATUS: Operation =
    Operation::reading("queryWhatsAppStatus", Permission::Call, AccountScope::SelfChecked);
/// Imports accounts where needed, and brings them online.
pub const BATCH_ONLINE: Operation = Operation::writing("batchOnline", Permission::Call, AccountScope::SelfChecked);
/// Takes accounts offline.
pub const BATCH_RECYCLE: Operation = Operation::writing("batchRecycle", Permission::Call, AccountScope::SelfChecked);
/// Starts a registration.
pub const SUBMIT_PHONE: Operation = Operation::writing("submitPhone", Permission::Call, AccountScope::SelfChecked);
/// Completes a registration by its code.
pub const SUBMIT_VERIFY_CODE: Operation =
    Operation::writing("submitVerifyCode", Permission::Call, AccountScope::SelfChecked);

// === Health and metrics ===

/// Reports that the process runs.
pub const HEALTH: Operation = Operation::public("health");
/// Reports whether the service accepts requests.
pub const READY: Operation = Operation::public("ready");
/// Renders the metrics.
pub const METRICS: Operation = Operation::reading("metrics", Permission::Read, AccountScope::All);

// === Accounts ===

/// Lists accounts.
pub const LIST_ACCOUNTS: Operation = Operation::reading("listAccounts", Permission::Read, AccountScope::Filtered);
/// Brings the listed accounts online, by an operator's order.
pub const ORDER_ONLINE: Operation = Operation::writing("orderOnline", Permission::Operate, AccountScope::SelfChecked);
/// Takes the listed accounts offline, by an operator's order.
pub const ORDER_RECYCLE: Operation = Operation::writing("orderRecycle", Permission::Operate, AccountScope::SelfChecked);
/// Shows the state of an account, now or earlier.
pub const SHOW_ACCOUNT: Operation = Operation::reading("showAccount", Permission::Read, AccountScope::One);
/// Lists the events of an account.
pub const SHOW_HISTORY: Operation = Operation::reading("showHistory", Permission::Read, AccountScope::One);
/// Compares two versions of an account.
pub const DIFF_ACCOUNT: Operation = Operation::reading("diffAccount", Permission::Read, AccountScope::One);
/// Replaces the labels of an account.
pub const CHANGE_LABELS: Operation = Operation::writing("changeLabels", Permission::Label, AccountScope::One);
/// Destroys an account's secrets.
pub const ERASE_SECRETS: Operation = Operation::writing("eraseSecrets", Permission::Administer, AccountScope::One);

// === The journal and its proofs ===

/// Lists or follows the events of all accounts.
pub const LIST_EVENTS: Operation = Operation::reading("listEvents", Permission::Read, AccountScope::Filtered);
/// Lists the audit log.
pub const LIST_ACTS: Operation = Operation::reading("listActs", Permission::Read, AccountScope::All);
/// Exports events; an export of CloudEvents includes their proof.
pub const EXPORT_EVENTS: Operation = Operation::reading("exportEvents", Permission::Read, AccountScope::Filtered);
/// Signs the log's size and root.
pub const SHOW_CHECKPOINT: Operation = Operation::reading("showCheckpoint", Permission::Read, AccountScope::None);
/// Shows the public key that verifies the log's signatures.
pub const SHOW_PUBLIC_KEY: Operation = Operation::reading("showPublicKey", Permission::Read, AccountScope::None);
/// Proves that an event is in the log.
pub const PROVE_INCLUSION: Operation = Operation::reading("proveInclusion", Permission::Read, AccountScope::All);
/// Proves that the log has only grown.
pub const PROVE_CONSISTENCY: Operation = Operation::reading("proveConsistency", Permission::Read, AccountScope::None);
/// Shows the generations of the log, with the proof of where each began.
pub const SHOW_GENERATIONS: Operation = Operation::reading("showGenerations", Permission::Read, AccountScope::None);
/// Compares a kept checkpoint with the log.
pub const CHECK_CHECKPOINT: Operation = Operation::reading("checkCheckpoint", Permission::Read, AccountScope::None);
/// Exports an account's history, with its proof.
pub const PROVE_ACCOUNT: Operation = Operation::reading("proveAccount", Permission::Read, AccountScope::One);

// === The service ===

/// Summarizes the state of the service.
pub const SHOW_OVERVIEW: Operation = Operation::reading("showOverview", Permission::Read, AccountScope::All);
/// Lists the settings in effect.
pub const LIST_SETTINGS: Operation = Operation::reading("listSettings", Permission::Read, AccountScope::All);
/// Lists the gateways and their health.
pub const LIST_GATEWAYS: Operation = Operation::reading("listGateways", Permission::Read, AccountScope::All);
/// Starts the reconciliation of a gateway's sessions.
pub const RECONCILE_GATEWAY: Operation = Operation::writing("reconcileGateway", Permission::Operate, AccountScope::All);
/// Shows how far the projections follow the journal.
pub const SHOW_PROJECTIONS: Operation = Operation::reading("showProjections", Permission::Read, AccountScope::All);
/// Starts the rebuild of a projection.
pub const REBUILD_PROJECTION: Operation =
    Operation::writing("rebuildProjection", Permission::Operate, AccountScope::All);
/// Verifies the whole journal.
pub const VERIFY: Operation = Operation::reading("verify", Permission::Read, AccountScope::All).unlimited();
/// Replays the journal, and compares the result with the states that the service serves.
pub const REPLAY: Operation = Operation::reading("replay", Permission::Operate, AccountScope::All).unlimited();
/// Writes a backup of the whole store. The backup is recorded in the audit log.
pub const BACKUP: Operation = Operation::writing("backup", Permission::Operate, AccountScope::All);

// === Webhooks ===

/// Shows the webhook channels.
pub const SHOW_WEBHOOKS: Operation = Operation::reading("showWebhooks", Permission::Read, AccountScope::All);
/// Shows a webhook channel.
pub const SHOW_WEBHOOK: Operation = Operation::reading("showWebhook", Permission::Read, AccountScope::All);
/// Sets the receiver of a channel.
pub const SET_RECEIVER: Operation = Operation::writing("setReceiver", Permission::Operate, AccountScope::All);
/// Returns a channel to the receiver of the settings.
pub const UNSET_RECEIVER: Operation = Operation::writing("unsetReceiver", Permission::Operate, AccountScope::All);
/// Sets the Standard Webhooks secret of a channel.
pub const SET_SECRET: Operation = Operation::writing("setSecret", Permission::Operate, AccountScope::All);
/// Removes the Standard Webhooks secrets of a channel.
pub const UNSET_SECRET: Operation = Operation::writing("unsetSecret", Permission::Operate, AccountScope::All);
/// Sets the app secret of a channel.
pub const SET_APP_SECRET: Operation = Operation::writing("setAppSecret", Permission::Operate, AccountScope::All);
/// Removes the app secret of a channel.
pub const UNSET_APP_SECRET: Operation = Operation::writing("unsetAppSecret", Permission::Operate, AccountScope::All);
/// Sends a test webhook, and waits for the response.
pub const TEST_RECEIVER: Operation =
    Operation::writing("testReceiver", Permission::Operate, AccountScope::All).unlimited();
/// Pauses a channel.
pub const PAUSE_WEBHOOK: Operation = Operation::writing("pauseWebhook", Permission::Operate, AccountScope::All);
/// Resumes a channel.
pub const RESUME_WEBHOOK: Operation = Operation::writing("resumeWebhook", Permission::Operate, AccountScope::All);
/// Drops the pending deliveries of a channel that has no receiver.
pub const CLOSE_WEBHOOK: Operation =
    Operation::writing("closeWebhook", Permission::Operate, AccountScope::All).unlimited();
/// Sends past deliveries again.
pub const REDELIVER: Operation = Operation::writing("redeliver", Permission::Operate, AccountScope::All).unlimited();
/// Sends the present state of accounts again.
pub const RESYNC_WEBHOOK: Operation =
    Operation::writing("resyncWebhook", Permission::Operate, AccountScope::All).unlimited();
/// Lists the deliveries of a channel.
pub const LIST_DELIVERIES: Operation = Operation::reading("listDeliveries", Permission::Read, AccountScope::Filtered);
/// Shows a delivery with its attempts.
pub const SHOW_DELIVERY: Operation = Operation::reading("showDelivery", Permission::Read, AccountScope::All);
/// Sends one delivery again.
pub const RESEND_DELIVERY: Operation = Operation::writing("resendDelivery", Permission::Operate, AccountScope::All);
/// Lists the dead letters of a channel.
pub const LIST_DEAD_LETTERS: Operation = Operation::reading("listDeadLetters", Permission::Read, AccountScope::All);
/// Sends dead letters again.
pub const REPLAY_DEAD_LETTERS: Operation =
    Operation::writing("replayDeadLetters", Permission::Operate, AccountScope::All);
/// Drops dead letters.
pub const DROP_DEAD_LETTERS: Operation = Operation::writing("dropDeadLetters", Permission::Operate, AccountScope::All);

// === Secrets and keys ===

/// Shows the status of the master key.
pub const SHOW_MASTER_KEY: Operation = Operation::reading("showMasterKey", Permission::Read, AccountScope::All);
/// Rotates the master key, or undoes a rotation.
pub const ROTATE_MASTER_KEY: Operation =
    Operation::writing("rotateMasterKey", Permission::Administer, AccountScope::All);
/// Lists the API keys.
pub const LIST_API_KEYS: Operation = Operation::reading("listApiKeys", Permission::Administer, AccountScope::All);
/// Creates an API key.
pub const CREATE_API_KEY: Operation = Operation::writing("createApiKey", Permission::Administer, AccountScope::All);
/// Revokes an API key.
pub const REVOKE_API_KEY: Operation = Operation::writing("revokeApiKey", Permission::Administer, AccountScope::All);

// === Gateways and Meta, which are authenticated by a signature ===

/// Ingests the reports of a gateway.
pub const REPORT_TO_MUSTER: Operation = Operation::signed("reportToMuster", Effect::Writes);
/// Leases commands to a gateway.
pub const FETCH_COMMANDS: Operation = Operation::signed("fetchCommands", Effect::Writes);
/// Acknowledges commands that a gateway has fetched.
pub const ACKNOWLEDGE_COMMANDS: Operation = Operation::signed("acknowledgeCommands", Effect::Writes);
/// Answers Meta's verification request.
pub const VERIFY_META_SUBSCRIPTION: Operation = Operation::signed("verifyMetaSubscription", Effect::Reads);
/// Ingests a notification from Meta.
pub const RECEIVE_META_WEBHOOK: Operation = Operation::signed("receiveMetaWebhook", Effect::Writes);
