//! Properties that hold for all commands in any order. A failing case is reduced to a minimal one, and its seed is
//! printed.

use std::time::Duration;

use proptest::prelude::*;

use super::language::{LIFETIME, content, labels};
use super::*;

/// A step: time passes, then the command comes.
type Step = (Duration, Command);

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_commands_in_any_order(
        steps in prop::collection::vec(step(), 0..60),
        choice in choice(),
        restored in prop::option::of((0..60_usize, 0..20_u32)),
    ) {
        let offers = offers();
        let mut context = DecisionContext { now: Timestamp(0), choice, offers: &offers, lost_numbers: 0 };
        let (mut account, mut history) = (Account::initial(), Vec::new());
        for (index, (passed, command)) in steps.into_iter().enumerate() {
            context.now = context.now.plus(passed);
            if let Some((_, lost_numbers)) = restored.filter(|(when, _)| *when == index) {
                context.lost_numbers = lost_numbers;
            }
            let Ok(events) = decide(&account, &command, context) else { continue };
            for event in events {
                prop_assert!(account.is_valid_next(&event), "{:?} is decided and not allowed", event);
                let before = account.clone();
                account.evolve(&event);
                prop_assert_eq!(account.version, before.version + 1, "versions are gapless");
                check_notification(&history, &before, &event, &account)?;
                check_state(&account)?;
                if matches!(event, Event::OnlineRequested { .. }) {
                    prop_assert!(account.latest_session > before.latest_session.max(context.lost_numbers));
                }
                history.push(event);
            }
            check_idempotency(&account, &command, context)?;
        }
        let mut replayed = Account::initial();
        history.iter().for_each(|event| replayed.evolve(event));
        prop_assert_eq!(replayed, account, "replay makes the live state");
    }
}

/// Checks that receivers are notified of every change of the state, and of the correct state.
fn check_notification(
    history: &[Event],
    before: &Account,
    event: &Event,
    after: &Account,
) -> Result<(), TestCaseError> {
    let statuses = |account: &Account| (account.status, account.online_status);
    if matches!(event, Event::StatusResynced { .. } | Event::RegistrationResynced { .. }) {
        prop_assert_eq!(&Account { version: after.version, ..before.clone() }, after, "{:?} changes nothing", event);
        return check_resync(history, event);
    }
    match Notification::for_event(event) {
        Some(Notification::Status { status, online_status, reason, .. }) => {
            prop_assert_ne!(statuses(before), statuses(after), "{:?} tells of a change", event);
            prop_assert_eq!(
                (status, online_status, reason),
                (after.status, after.online_status, after.reason.as_str())
            );
        }
        Some(Notification::Registration { successful, .. }) => {
            prop_assert!(before.registration.is_some(), "only a registration that waits has an outcome");
            prop_assert!(!successful || after.registration.is_none());
        }
        None => prop_assert_eq!(statuses(before), statuses(after), "{:?} changes the status in silence", event),
    }
    Ok(())
}

/// Checks that a resync repeats the notification of the event that set the present state.
fn check_resync(history: &[Event], resync: &Event) -> Result<(), TestCaseError> {
    let mut backwards = history.iter().rev();
    let cause = if matches!(resync, Event::StatusResynced { .. }) {
        backwards.find(|event| event.definition().resulting_status.is_some())
    } else {
        backwards.find(|event| event.registration_result().is_some())
    };
    // An account that never changed its status, or that was only registered, has no notification on `sync` yet.
    if let Some(notified) = cause.and_then(Notification::for_event)
        && notified.channel() == Notification::for_event(resync).unwrap().channel()
    {
        prop_assert_eq!(Notification::for_event(resync), Some(notified));
    }
    Ok(())
}

/// Checks for impossible states.
fn check_state(account: &Account) -> Result<(), TestCaseError> {
    if account.status == Status::Banned {
        prop_assert_eq!(account.online_status, OnlineStatus::Offline);
    }
    if account.content.is_none() {
        prop_assert!(!account.online_status.is_desired_online(), "there is nothing to be online with");
    }
    prop_assert!(account.online_status_version <= account.version);
    prop_assert!(account.register_calls.len() <= crate::limits::REGISTER_CALLS, "the budget is never overrun");
    if let Some(waiting) = &account.registration {
        prop_assert!(waiting.attempts <= crate::limits::REGISTRATION_ATTEMPTS);
        let numbers: Vec<u32> = waiting.pending_codes.iter().map(|unjudged| unjudged.number).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.iter().all(|number| *number <= waiting.attempts));
    }
    prop_assert!(account.pending_effects().is_empty() || account.has_pending_work(), "what is owed is not forgotten");
    Ok(())
}

/// Repeating a command or report that just succeeded changes nothing. Exceptions: registering, submitting a code and
/// notifying receivers again are new requests each time.
fn check_idempotency(account: &Account, command: &Command, context: DecisionContext<'_>) -> Result<(), TestCaseError> {
    match command {
        // The first call may use up the budget, and the repeated command is then rejected.
        Command::CallProvider { call: ProviderCall::Register | ProviderCall::Deregister } => {}
        Command::Register { .. } | Command::SubmitCode { .. } | Command::Resync { .. } => {}
        Command::Import { .. }
        | Command::BringOnline { .. }
        | Command::Recycle { .. }
        | Command::EraseSecrets { .. }
        | Command::ChangeLabels { .. }
        | Command::Report(_)
        | Command::Reconcile { .. }
        | Command::KeepPin { .. }
        | Command::CallProvider { call: ProviderCall::RequestCode }
        | Command::GiveUpComing { .. }
        | Command::Reconnect { .. }
        | Command::GiveUpRegistration { .. } => {
            prop_assert_eq!(decide(account, command, context), Ok(vec![]));
        }
    }
    Ok(())
}

fn step() -> impl Strategy<Value = Step> {
    let passed =
        prop_oneof![8 => Just(0), 1 => 1..300_u64, 1 => Just(LIFETIME.as_secs())].prop_map(Duration::from_secs);
    let reconciled = (report(), 0..12_u64).prop_map(|(report, as_of)| Command::Reconcile { report, as_of });
    (
        passed,
        prop_oneof![8 => any_caller_command(), 8 => report().prop_map(Command::Report), 8 => deadline(), 1 => reconciled, 4 => any_provider_command()],
    )
}

fn any_caller_command() -> impl Strategy<Value = Command> {
    let some_labels = || prop::option::of(any_labels());
    let some_content = || prop_oneof![Just("a"), Just("b")].prop_map(content);
    prop_oneof![
        2 => (some_content(), reason(), some_labels())
            .prop_map(|(content, reason, labels)| Command::Import { content, reason, labels }),
        6 => (some_content(), any::<bool>(), some_labels()).prop_map(|(content, replace, labels)| {
            Command::BringOnline { content: Some(content), replace, reason: Reason::none(), labels }
        }),
        1 => some_labels().prop_map(|labels| {
            Command::BringOnline { content: None, replace: false, reason: Reason::none(), labels }
        }),
        2 => (any_labels(), reason()).prop_map(|(labels, reason)| Command::ChangeLabels { labels, reason }),
        2 => any::<bool>().prop_map(|comes_back| Command::Recycle { comes_back, reason: Reason::none() }),
        2 => task().prop_map(|task| Command::Register {
            task,
            verify_type: VerifyType::Voice,
            account_type: AccountType::Personal,
            calling_code: "+86".parse().unwrap(),
            country: "CN".to_owned(),
            lifetime: LIFETIME,
            reason: Reason::none(),
        }),
        6 => Just(Command::SubmitCode { code: SealedBytes(Box::new([7])), reason: Reason::none() }),
        1 => Just(Command::EraseSecrets { reason: Reason::new("asked to") }),
        2 => prop::sample::select(Channel::ALL.to_vec()).prop_map(|channel| Command::Resync { channel }),
    ]
}

fn any_labels() -> impl Strategy<Value = Labels> {
    prop_oneof![Just(""), Just("team=care"), Just("team=sales tier=")].prop_map(labels)
}

fn report() -> impl Strategy<Value = Report> {
    let instance_code = String::new;
    let session = || prop_oneof![3 => Just(None), 1 => (0..4_u32).prop_map(Some)];
    prop_oneof![
        4 => session().prop_map(move |session| Report::Connected { session, instance_code: instance_code() }),
        2 => (session(), reason())
            .prop_map(move |(session, reason)| Report::Disconnected { session, reason, instance_code: instance_code() }),
        1 => reason().prop_map(move |reason| Report::Banned { reason, instance_code: instance_code() }),
        1 => Just(Report::BanLifted),
        1 => task().prop_map(|task| Report::CodeSent { task }),
        1 => (task(), reason()).prop_map(|(task, reason)| Report::RegistrationFailed { task, reason }),
        1 => task().prop_map(|task| Report::CodeAccepted { task }),
        4 => (task(), 0..7_u32, reason())
            .prop_map(|(task, attempt, reason)| Report::CodeRefused { task, attempt, reason }),
    ]
}

fn deadline() -> impl Strategy<Value = Command> {
    prop_oneof![
        (0..12_u64).prop_map(|since_version| Command::GiveUpComing { since_version }),
        (0..12_u64).prop_map(|since_version| Command::Reconnect { since_version }),
        task().prop_map(|task| Command::GiveUpRegistration { task }),
    ]
}

fn any_provider_command() -> impl Strategy<Value = Command> {
    let calls = [ProviderCall::RequestCode, ProviderCall::Register, ProviderCall::Deregister];
    let call = prop::sample::select(calls.to_vec()).prop_map(|call| Command::CallProvider { call });
    prop_oneof![4 => call, 1 => Just(Command::KeepPin { pin: SealedBytes(Box::new([7])) })]
}

/// The contents of these tests are personal accounts.
fn choice() -> impl Strategy<Value = GatewayChoice> {
    let kind = || prop::sample::select(GatewayKind::ALL.to_vec());
    (kind(), kind()).prop_map(|(personal, business)| GatewayChoice { personal, business })
}

fn task() -> impl Strategy<Value = TaskId> {
    (1..3_u32).prop_map(|id| TaskId::new(id).unwrap())
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![Just(Reason::none()), Just(Reason::new(Reason::NETWORK)), Just(Reason::new("spam"))]
}
