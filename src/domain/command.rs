//! The commands of an account. Imperative.

use std::sync::Arc;
use std::time::Duration;

use super::{AccountType, CallingCode, Content, ProviderCall, Reason, SealedBytes, TaskId, VerifyType};

/// A caller's request, a gateway's report, or a deadline of the watchdog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Import a new account.
    Import {
        /// The imported content.
        content: Arc<Content>,
    },
    /// Bring the account online; import it first if it is unknown.
    BringOnline {
        /// What the caller sent; `None` to use the stored content.
        content: Option<Arc<Content>>,
        /// Whether it replaces the stored content.
        replace: bool,
    },
    /// Take the account offline.
    Recycle {
        /// Whether the settings reconnect dropped accounts: the recycling then cancels the reconnect.
        comes_back: bool,
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
    },
    /// Try a verification code. The sender has checked that the registration's deadline has not passed.
    SubmitCode {
        /// The code, sealed.
        code: SealedBytes,
    },
    /// Destroy the data key of the account's secrets.
    EraseSecrets {
        /// Why.
        reason: Reason,
    },
    /// Apply a gateway's report.
    Report(Report),
    /// Apply a gateway's report that a reconciliation found.
    Reconcile {
        /// The report.
        report: Report,
        /// The account's version during the comparison. If the account has events since, the report does not apply.
        as_of: u64,
    },
    /// Keep the PIN with which a gateway is about to register the number. An existing PIN stays.
    KeepPin {
        /// The PIN, sealed.
        pin: SealedBytes,
    },
    /// Record a provider call before the gateway makes it: the provider counts it, or it must not be made twice for one
    /// registration.
    CallProvider {
        /// The call.
        call: ProviderCall,
    },
    /// A `-coming` state lasted too long.
    GiveUpComing {
        /// The version at which that state began. A later transition is not affected.
        since_version: u64,
    },
    /// Bring a dropped account back online.
    Reconnect {
        /// The version at which it dropped. A later drop is not affected.
        since_version: u64,
    },
    /// End a registration that waited for its whole lifetime. The deadline counts elapsed time, not the wall clock.
    GiveUpRegistration {
        /// The task. A later registration is not affected.
        task: TaskId,
    },
}

/// A gateway's report. A report that does not fit the state changes nothing.
///
/// `session` counts how many times callers asked for the account to be online. A report with a session is about that
/// one only; a report without is about the open one.
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
    /// The registration is over: no code can be sent, or the number cannot be registered.
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
