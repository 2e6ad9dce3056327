//! What may be asked of an account. Imperative.

use std::sync::Arc;
use std::time::Duration;

use super::{AccountType, CallingCode, Content, ProviderCall, Reason, SealedBytes, TaskId, VerifyType};

/// A wish of a caller, a report of a gateway, or a deadline of the watchdog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Import a new account.
    Import {
        /// What comes with it.
        content: Arc<Content>,
    },
    /// Bring the account online; import it first if it is unknown.
    BringOnline {
        /// What the caller sent; none where what is stored is to do.
        content: Option<Arc<Content>>,
        /// Whether that replaces what is stored.
        replace: bool,
    },
    /// Take the account offline.
    Recycle {
        /// Whether an account that was dropped would be brought back: then it is not to be.
        comes_back: bool,
    },
    /// Register the number.
    Register {
        /// The task that the caller will be given.
        task: TaskId,
        /// How the code is to reach the phone.
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
    /// Try a verification code. Whoever asks knows that the registration's deadline has not passed.
    SubmitCode {
        /// The code, sealed.
        code: SealedBytes,
    },
    /// Destroy what opens the account's secrets.
    EraseSecrets {
        /// Why.
        reason: Reason,
    },
    /// A gateway says what it sees.
    Report(Report),
    /// The same, found when all sessions of a gateway were compared with what is shown.
    Reconcile {
        /// What it sees.
        report: Report,
        /// The version with which that was compared: once anything has happened since, it is not meant.
        as_of: u64,
    },
    /// Keep the PIN that a gateway is about to register the number with. One that is there already stays.
    KeepPin {
        /// The PIN, sealed.
        pin: SealedBytes,
    },
    /// A gateway is about to make a call that its provider counts, or that must not be made twice for one registration.
    CallProvider {
        /// Which.
        call: ProviderCall,
    },
    /// A `-coming` state lasted too long.
    GiveUpComing {
        /// The version at which that state began: a later one is not meant.
        since_version: u64,
    },
    /// An account that was dropped is to come back.
    Reconnect {
        /// The version at which it was dropped: a later drop is not meant.
        since_version: u64,
    },
    /// A registration waited for its whole lifetime. Its deadline says so, which counts elapsed time: no wall clock does.
    GiveUpRegistration {
        /// The task that is meant: a later one is not.
        task: TaskId,
    },
}

/// What a gateway reports. One that does not fit the state changes nothing.
///
/// `session` counts the times the account was asked online; a report that names one is about that one only, a report
/// that names none is about whichever is open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// A session is open.
    Connected {
        /// Which.
        session: Option<u32>,
        /// The gateway's scan or pairing id.
        instance_code: String,
    },
    /// A session is closed, or could not be opened.
    Disconnected {
        /// Which.
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
        /// The how many-th code it was, from 1.
        attempt: u32,
        /// Why.
        reason: Reason,
    },
}
