//! The commands of an account. Their names are imperatives.

use std::sync::Arc;
use std::time::Duration;

use super::{
    AccountType, CallingCode, Channel, Content, Labels, ProviderCall, Reason, SealedBytes, TaskId, VerifyType,
};

/// A command comes from a caller's request, a gateway's report, or a deadline of the watchdog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Import a new account.
    Import {
        /// The imported content.
        content: Arc<Content>,
        /// Why, in the requester's words; empty without a reason. The event that the order makes has it.
        reason: Reason,
        /// Replaces all labels of the account; `None` keeps them.
        labels: Option<Labels>,
    },
    /// Bring the account online; import it first if it is unknown.
    BringOnline {
        /// What the caller sent; `None` to use the stored content.
        content: Option<Arc<Content>>,
        /// Whether it replaces the stored content.
        replace: bool,
        /// As in [`Command::Import`].
        reason: Reason,
        /// Replaces all labels of the account; `None` keeps them.
        labels: Option<Labels>,
    },
    /// Take the account offline.
    Recycle {
        /// Whether the settings reconnect dropped accounts. If so, recycling a dropped account cancels its reconnect.
        comes_back: bool,
        /// As in [`Command::Import`].
        reason: Reason,
    },
    /// Register the number.
    Register {
        /// The task id for the caller.
        task: TaskId,
        /// How the code reaches the phone.
        verify_type: VerifyType,
        /// Personal or business.
        account_type: AccountType,
        /// The calling code.
        calling_code: CallingCode,
        /// ISO 3166-1 alpha-2, upper case.
        country: String,
        /// How long the registration waits for its code.
        lifetime: Duration,
        /// As in [`Command::Import`].
        reason: Reason,
    },
    /// Try a verification code. The sender has checked that the registration's deadline has not passed.
    SubmitCode {
        /// The code, sealed.
        code: SealedBytes,
        /// As in [`Command::Import`].
        reason: Reason,
    },
    /// Destroy the data key of the account's secrets.
    EraseSecrets {
        /// Why.
        reason: Reason,
    },
    /// Replace all labels of the account.
    ChangeLabels {
        /// All its labels after the change.
        labels: Labels,
        /// Why; empty without a reason.
        reason: Reason,
    },
    /// Notify receivers again of the present state.
    Resync {
        /// On this channel.
        channel: Channel,
    },
    /// Apply a gateway's report.
    Report(Report),
    /// Apply a gateway's report that a reconciliation found.
    Reconcile {
        /// The report.
        report: Report,
        /// The account's version during the comparison. If the account has newer events, the report does not apply.
        as_of: u64,
    },
    /// Store the PIN that a gateway will use to register the number. An existing PIN is not replaced.
    KeepPin {
        /// The PIN, sealed.
        pin: SealedBytes,
    },
    /// Record a provider call before the gateway makes it. The reason: the provider counts such calls, or the call must
    /// not be made twice for one registration.
    CallProvider {
        /// The call.
        call: ProviderCall,
    },
    /// End a `-coming` state that lasted too long.
    GiveUpComing {
        /// The version at which that state began. A later transition is not affected.
        since_version: u64,
    },
    /// Bring a dropped account back online.
    Reconnect {
        /// The version at which it dropped. A later drop is not affected.
        since_version: u64,
    },
    /// End a registration that has waited for its whole lifetime. The deadline counts elapsed time, not the wall clock.
    GiveUpRegistration {
        /// The task. A later registration is not affected.
        task: TaskId,
    },
}

/// A gateway's report. A report that does not fit the state changes nothing.
///
/// `session` counts how many times callers asked for the account to be online. A report with a session number applies
/// to that session only. A report without a number applies to the latest session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// A session is open.
    Connected {
        /// The session's number.
        session: Option<u32>,
        /// The gateway's scan or pairing id.
        instance_code: String,
    },
    /// A session is closed, or could not be opened.
    Disconnected {
        /// The session's number.
        session: Option<u32>,
        /// Why.
        reason: Reason,
        /// The gateway's scan or pairing id.
        instance_code: String,
    },
    /// The account is banned.
    Banned {
        /// Why.
        reason: Reason,
        /// The gateway's scan or pairing id.
        instance_code: String,
    },
    /// The ban is lifted.
    BanLifted,
    /// The code is on its way to the phone.
    CodeSent {
        /// For this registration.
        task: TaskId,
    },
    /// The registration failed: no code can be sent, or the number cannot be registered.
    RegistrationFailed {
        /// For this registration.
        task: TaskId,
        /// Why.
        reason: Reason,
    },
    /// The code was right.
    CodeAccepted {
        /// For this registration.
        task: TaskId,
    },
    /// The code was wrong.
    CodeRefused {
        /// For this registration.
        task: TaskId,
        /// The attempt number of the code, from 1.
        attempt: u32,
        /// Why.
        reason: Reason,
    },
}
