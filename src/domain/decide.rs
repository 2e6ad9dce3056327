//! Command + state → events, or a rejection. The state table of the contract.

use std::sync::Arc;

use crate::limits::{REGISTER_CALLS, REGISTER_CALLS_WINDOW, REGISTRATION_ATTEMPTS};

use super::contract_types::truncate_reason;
use super::{
    Account, AccountType, Command, Content, Event, GatewayChoice, GatewayKind, GatewayOffer, GatewayOffers, Labels,
    OnlineStatus, ProviderCall, Reason, Report, SealedBytes, Status, Timestamp,
};

/// Why a command is rejected. A rejected command changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandRejection {
    /// The account has other content already.
    #[error("is already imported with other content; use batchOnline with override to replace it")]
    OtherContent,
    /// WhatsApp banned the account.
    #[error("is banned; register the number again to lift the ban")]
    Banned,
    /// The account's secrets were erased.
    #[error("had its secrets erased; import it again, with new content")]
    Erased,
    /// The account has no event.
    #[error("is unknown; import it first")]
    Unknown,
    /// The number has no content, and the command brings none.
    #[error("has no content yet; send it")]
    NoContent,
    /// No registration waits for a code.
    #[error("has no registration that waits for a code; submit the phone number first")]
    NoRegistrationWaiting,
    /// Its gateway does not serve personal accounts.
    #[error(
        "is a personal account, and {} serves business accounts only; import it with whatsappType 2, or choose another gateway",
        .offer.title
    )]
    PersonalAccount {
        /// The offer of its gateway.
        offer: &'static GatewayOffer,
    },
    /// Its gateway does not offer this verification method.
    #[error("is served by {}, which sends codes by {} only", .offer.title, .offer.list_verify_types())]
    VerifyTypeNotOffered {
        /// The offer of its gateway.
        offer: &'static GatewayOffer,
    },
    /// The provider accepts no more such calls for this number until `free_at`.
    #[error(
        "was registered or deregistered {REGISTER_CALLS} times in {} hours, which is the provider's limit",
        REGISTER_CALLS_WINDOW.as_secs() / 3600
    )]
    BudgetUsedUp {
        /// When the next call is allowed.
        free_at: Timestamp,
    },
}

/// What a decision depends on besides the account and the command.
#[derive(Clone, Copy)]
pub struct DecisionContext<'o> {
    /// The time of the decision.
    pub now: Timestamp,
    /// The gateways that the settings choose.
    pub choice: GatewayChoice,
    /// The offer of each gateway.
    pub offers: &'o GatewayOffers,
    /// Session numbers up to this one may have been used in a history that a restore lost. 0 if there was no restore.
    pub lost_numbers: u32,
}

/// Decides which events follow from `command` in the state `account`. The result is empty if nothing would change, or if
/// the command no longer applies.
pub fn decide(
    account: &Account,
    command: &Command,
    context: DecisionContext<'_>,
) -> Result<Vec<Event>, CommandRejection> {
    let DecisionContext { now, choice, offers, lost_numbers } = context;
    match command {
        Command::Import { content, reason, labels } => decide_import(account, content, reason, labels.as_ref()),
        Command::BringOnline { content, replace, reason, labels } => {
            decide_online(account, content.as_ref(), *replace, reason, labels.as_ref(), context)
        }
        Command::Recycle { comes_back, reason } => decide_recycle(account, *comes_back, reason),
        Command::Register { task, verify_type, account_type, calling_code, country, lifetime, reason } => {
            // After a restart, an actor may decide a command that its predecessor already committed.
            if account.registration.as_ref().is_some_and(|waiting| waiting.task == *task) {
                return Ok(vec![]);
            }
            let assigned = assign_gateway(account, *account_type, choice, offers)?;
            let offer = offers.of(choose_gateway(account, *account_type, choice));
            if !offer.verify_types.contains(verify_type) {
                return Err(CommandRejection::VerifyTypeNotOffered { offer });
            }
            let requested = Event::RegistrationRequested {
                task: *task,
                verify_type: *verify_type,
                account_type: *account_type,
                calling_code: *calling_code,
                country: country.clone(),
                expires_at: now.plus(*lifetime),
                lifetime: *lifetime,
                reason: reason.clone(),
            };
            Ok(assigned.into_iter().chain([requested]).collect())
        }
        Command::SubmitCode { code, reason } => decide_code(account, code, reason),
        Command::EraseSecrets { reason } => decide_erasure(account, reason),
        Command::ChangeLabels { .. } if !account.is_known() => Err(CommandRejection::Unknown),
        Command::ChangeLabels { labels, reason } => Ok(relabel(account, Some(labels), reason).into_iter().collect()),
        Command::Resync { .. } if !account.is_known() => Err(CommandRejection::Unknown),
        Command::Resync { channel } => Ok(account.resync_event(*channel).into_iter().collect()),
        Command::Report(report) => Ok(decide_report(account, report)),
        Command::Reconcile { as_of, .. } if account.version != *as_of => Ok(vec![]),
        Command::Reconcile { report, .. } => Ok(decide_report(account, report)),
        Command::KeepPin { .. } if !account.is_known() => Err(CommandRejection::Unknown),
        Command::KeepPin { pin } => Ok(event_if(account.pin.is_none(), || Event::PinKept { pin: pin.clone() })),
        Command::CallProvider { call } => decide_provider_call(account, *call, now),
        Command::GiveUpComing { since_version } => {
            let meant = account.online_status.is_coming() && account.online_status_version == *since_version;
            Ok(event_if(meant, || Event::WentOffline {
                reason: Reason::new(Reason::NETWORK),
                instance_code: String::new(),
            }))
        }
        Command::Reconnect { since_version } => {
            let meant = account.is_dropped() && account.online_status_version == *since_version;
            Ok(if meant { begin_session(account, lost_numbers, &Reason::none()).collect() } else { vec![] })
        }
        Command::GiveUpRegistration { task } => {
            let meant = account.registration.as_ref().is_some_and(|waiting| waiting.task == *task);
            Ok(event_if(meant, || Event::RegistrationFailed {
                reason: Reason::new("no code was accepted in time"),
                attempt: 0,
                still_waiting: false,
            }))
        }
    }
}

fn decide_import(
    account: &Account,
    content: &Arc<Content>,
    reason: &Reason,
    labels: Option<&Labels>,
) -> Result<Vec<Event>, CommandRejection> {
    let imported = match &account.content {
        None => Some(Event::AccountImported { content: content.clone(), reason: reason.clone() }),
        Some(stored) if stored.fingerprint == content.fingerprint => None,
        Some(_) => return Err(CommandRejection::OtherContent),
    };
    Ok(imported.into_iter().chain(relabel(account, labels, reason)).collect())
}

/// The event that replaces the account's labels; `None` if it already has these labels, or if none are given.
fn relabel(account: &Account, labels: Option<&Labels>, reason: &Reason) -> Option<Event> {
    let labels = labels.filter(|labels| **labels != account.labels)?;
    Some(Event::LabelsChanged { labels: labels.clone(), reason: reason.clone() })
}

/// The content that the caller sent, if it is stored, then the labels, if they change, then the gateway, if it changes,
/// then the session.
fn decide_online(
    account: &Account,
    content: Option<&Arc<Content>>,
    replace: bool,
    reason: &Reason,
    labels: Option<&Labels>,
    context: DecisionContext<'_>,
) -> Result<Vec<Event>, CommandRejection> {
    if account.status == Status::Banned {
        return Err(CommandRejection::Banned);
    }
    if account.is_erased {
        return Err(CommandRejection::Erased);
    }
    let stored = match (&account.content, content) {
        (None, None) => return Err(CommandRejection::NoContent),
        (None, Some(sent)) => Some(Event::AccountImported { content: sent.clone(), reason: reason.clone() }),
        (Some(stored), Some(sent)) if replace && stored.fingerprint != sent.fingerprint => {
            Some(Event::ContentReplaced { content: sent.clone(), reason: reason.clone() })
        }
        (Some(_), _) => None,
    };
    let is_of = |content: &Content| content.account_type;
    let kept = account.content.as_deref().map(is_of);
    let account_type = match &stored {
        Some(Event::AccountImported { content, .. } | Event::ContentReplaced { content, .. }) => is_of(content),
        Some(_) | None => kept.unwrap_or(AccountType::Personal),
    };
    let assigned = assign_gateway(account, account_type, context.choice, context.offers)?;
    let changed = stored.into_iter().chain(relabel(account, labels, reason));
    if account.online_status.is_desired_online() {
        return Ok(changed.collect());
    }
    Ok(changed.chain(assigned).chain(begin_session(account, context.lost_numbers, reason)).collect())
}

/// The events that begin the next session. It gets no number up to `lost_numbers`: the gateway carries out each command
/// once, and may have done so under that number.
fn begin_session(account: &Account, lost_numbers: u32, reason: &Reason) -> impl Iterator<Item = Event> {
    let advanced =
        (lost_numbers > account.latest_session).then_some(Event::SessionNumbersAdvanced { last: lost_numbers });
    advanced.into_iter().chain([Event::OnlineRequested { reason: reason.clone() }])
}

fn decide_recycle(account: &Account, comes_back: bool, reason: &Reason) -> Result<Vec<Event>, CommandRejection> {
    if !account.is_known() {
        return Err(CommandRejection::Unknown);
    }
    let is_wanted_online = account.online_status.is_desired_online() || (comes_back && account.is_dropped());
    Ok(event_if(is_wanted_online, || Event::RecycleRequested { reason: reason.clone() }))
}

fn decide_code(account: &Account, code: &SealedBytes, reason: &Reason) -> Result<Vec<Event>, CommandRejection> {
    match &account.registration {
        // Two submissions never have the same sealed bytes, so equal bytes mean that this command is already committed.
        Some(waiting) if waiting.pending_codes.iter().any(|attempt| attempt.code == *code) => Ok(vec![]),
        Some(waiting) if waiting.attempts < REGISTRATION_ATTEMPTS => {
            Ok(vec![Event::CodeSubmitted { code: code.clone(), reason: reason.clone() }])
        }
        Some(_) | None => Err(CommandRejection::NoRegistrationWaiting),
    }
}

fn decide_provider_call(account: &Account, call: ProviderCall, now: Timestamp) -> Result<Vec<Event>, CommandRejection> {
    if !account.is_known() {
        return Err(CommandRejection::Unknown);
    }
    match call {
        ProviderCall::RequestCode => {
            let is_due = account.registration.as_ref().is_some_and(|waiting| !waiting.code_requested);
            Ok(event_if(is_due, || Event::ProviderCalled { call, at: now }))
        }
        ProviderCall::Register | ProviderCall::Deregister => match account.budget_free_at(call, now) {
            Some(free_at) => Err(CommandRejection::BudgetUsedUp { free_at }),
            None => Ok(vec![Event::ProviderCalled { call, at: now }]),
        },
    }
}

/// The events that follow from a gateway's report. A report that does not fit the state is late, and changes nothing.
fn decide_report(account: &Account, report: &Report) -> Vec<Event> {
    let is_current = |session: &Option<u32>| session.is_none_or(|session| session == account.latest_session);
    let waits_for = |task| account.registration.as_ref().filter(|waiting| waiting.task == task);
    match report {
        Report::Connected { session, instance_code } => {
            let fits = is_current(session) && account.online_status == OnlineStatus::OnlineComing;
            event_if(fits, || Event::CameOnline { instance_code: truncate_reason(instance_code.clone()) })
        }
        Report::Disconnected { session, reason, instance_code } => {
            let fits = is_current(session) && account.online_status != OnlineStatus::Offline;
            event_if(fits, || Event::WentOffline {
                reason: reason.clone(),
                instance_code: truncate_reason(instance_code.clone()),
            })
        }
        Report::Banned { reason, instance_code } => {
            let fits = account.is_known() && account.status == Status::Normal;
            event_if(fits, || Event::Banned {
                reason: reason.clone(),
                instance_code: truncate_reason(instance_code.clone()),
            })
        }
        Report::BanLifted => event_if(account.status == Status::Banned, || Event::BanLifted),
        Report::CodeSent { task } => {
            let fits = waits_for(*task).is_some_and(|waiting| !waiting.code_sent);
            event_if(fits, || Event::CodeSent)
        }
        Report::RegistrationFailed { task, reason } => event_if(waits_for(*task).is_some(), || {
            Event::RegistrationFailed { reason: reason.clone(), attempt: 0, still_waiting: false }
        }),
        Report::CodeAccepted { task } => event_if(waits_for(*task).is_some(), || Event::Registered),
        Report::CodeRefused { task, attempt, reason } => {
            let unjudged = waits_for(*task).map_or(&[][..], |waiting| &waiting.pending_codes);
            let fits = unjudged.iter().any(|unjudged| unjudged.number == *attempt);
            let used_up = waits_for(*task).map_or(0, |waiting| waiting.attempts) >= REGISTRATION_ATTEMPTS;
            event_if(fits, || Event::RegistrationFailed {
                reason: reason.clone(),
                attempt: *attempt,
                still_waiting: !used_up || unjudged.len() > 1,
            })
        }
    }
}

/// The gateway for the next session or registration. It changes only while the account is offline, because a session
/// must end at the gateway where it began.
fn choose_gateway(account: &Account, account_type: AccountType, choice: GatewayChoice) -> GatewayKind {
    if account.online_status == OnlineStatus::Offline { choice.gateway_for(account_type) } else { account.gateway }
}

/// The event that assigns the gateway for the next session or registration. `None` if the account already has that
/// gateway.
fn assign_gateway(
    account: &Account,
    account_type: AccountType,
    choice: GatewayChoice,
    offers: &GatewayOffers,
) -> Result<Option<Event>, CommandRejection> {
    let gateway = choose_gateway(account, account_type, choice);
    let offer = offers.of(gateway);
    if account_type == AccountType::Personal && !offer.serves_personal_accounts {
        return Err(CommandRejection::PersonalAccount { offer });
    }
    Ok((gateway != account.gateway).then_some(Event::GatewayAssigned { gateway }))
}

/// Before the erasure, receivers are notified that the registration ended and that the account is going offline.
fn decide_erasure(account: &Account, reason: &Reason) -> Result<Vec<Event>, CommandRejection> {
    if !account.is_known() {
        return Err(CommandRejection::Unknown);
    }
    // A registration after an erasure has a new data key, so another erasure must destroy that key too.
    if account.is_erased && account.registration.is_none() {
        return Ok(vec![]);
    }
    let failed = account.registration.as_ref().map(|_| Event::RegistrationFailed {
        reason: Reason::new("the account's secrets were erased"),
        attempt: 0,
        still_waiting: false,
    });
    let is_wanted_online = account.online_status.is_desired_online();
    let recycled = is_wanted_online.then(|| Event::RecycleRequested { reason: reason.clone() });
    let erased = Event::SecretsErased { reason: reason.clone() };
    Ok(failed.into_iter().chain(recycled).chain([erased]).collect())
}

/// One event if `fits`, none otherwise.
fn event_if(fits: bool, event: impl FnOnce() -> Event) -> Vec<Event> {
    if fits { vec![event()] } else { vec![] }
}
