//! Events and commands as words, so that a test reads like the contract.
//!
//! `a` and `b` are contents, `#7` is task 7, a bare number is a session or an attempt. Text after a colon is the
//! gateway's reason. The first registration is requested at second 0; each lasts 600 seconds.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use crate::testkit::sample::content_with;

/// How long a registration of these tests waits for its code.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// Contents differ in their fingerprint only.
pub(super) fn content(name: &str) -> Arc<Content> {
    let mark = name.bytes().next().unwrap_or(0);
    content_with(mark, |content| {
        *content.texts.slot(ContentField::Name) = Some("lee".into());
        *content.texts.slot(ContentField::AccountId) = Some("".into());
        content.secrets = SealedBytes([mark; 4].into());
    })
}

/// Parses an event from `words`, in the format that [`show`] writes.
pub(super) fn event(words: &str) -> Event {
    let Phrase { verb, task, number, reason, .. } = &Phrase::of(words);
    let (reason, instance_code) = (reason.clone(), String::new());
    match verb.as_str() {
        "account imported a" => Event::AccountImported { content: content("a"), reason: Reason::none() },
        "account imported b" => Event::AccountImported { content: content("b"), reason: Reason::none() },
        "content replaced b" => Event::ContentReplaced { content: content("b"), reason: Reason::none() },
        "online requested" => Event::OnlineRequested { reason: Reason::none() },
        "came online" => Event::CameOnline { instance_code: reason.as_str().to_owned() },
        "recycle requested" => Event::RecycleRequested { reason: Reason::none() },
        "went offline" => Event::WentOffline { reason, instance_code },
        "banned" => Event::Banned { reason, instance_code },
        "ban lifted" => Event::BanLifted,
        "registration requested" => Event::RegistrationRequested {
            task: task.expect("a task, as in #7"),
            verify_type: VerifyType::Sms,
            account_type: AccountType::Business,
            calling_code: "+86".parse().unwrap(),
            country: "CN".to_owned(),
            expires_at: Timestamp(0).plus(LIFETIME),
            lifetime: LIFETIME,
            reason: Reason::none(),
        },
        "code sent" => Event::CodeSent,
        "code submitted" => Event::CodeSubmitted { code: SealedBytes(Box::new([1, 2, 3])), reason: Reason::none() },
        "registered" => Event::Registered,
        "code refused" => Event::RegistrationFailed { reason, attempt: number.unwrap(), still_waiting: true },
        "registration failed" => {
            Event::RegistrationFailed { reason, attempt: number.unwrap_or(0), still_waiting: false }
        }
        "secrets erased" => Event::SecretsErased { reason },
        "gateway assigned" => Event::GatewayAssigned { gateway: GatewayKind::from_name(reason.as_str()).unwrap() },
        "pin kept" => Event::PinKept { pin: SealedBytes(Box::new([7])) },
        "provider called" => Event::ProviderCalled { call: call(&reason), at: Timestamp(0) },
        "session numbers advanced" => Event::SessionNumbersAdvanced { last: number.unwrap() },
        "labels changed" => Event::LabelsChanged { labels: labels(reason.as_str()), reason: Reason::none() },
        other => panic!("no event is called {other:?}"),
    }
}

/// Parses a command from `words`.
pub(super) fn command(words: &str) -> Command {
    let Phrase { verb, task, number, reason } = &Phrase::of(words);
    let task = || task.expect("a task, as in #7");
    let (session, reason, instance_code) = (*number, reason.clone(), "scan-1".to_owned());
    let import = |name, labels| Command::Import { content: content(name), reason: Reason::none(), labels };
    let bring_online =
        |content, replace, labels| Command::BringOnline { content, replace, reason: Reason::none(), labels };
    let online = |name, replace| bring_online(Some(content(name)), replace, None);
    match verb.as_str() {
        "import a" => import("a", None),
        "import b" => import("b", None),
        "import a with labels" => import("a", Some(labels(reason.as_str()))),
        "import b with labels" => import("b", Some(labels(reason.as_str()))),
        "bring online" => bring_online(None, false, None),
        "bring online a with labels" => bring_online(Some(content("a")), false, Some(labels(reason.as_str()))),
        "bring online a" => online("a", false),
        "bring online b" => online("b", false),
        "bring online a, override" => online("a", true),
        "bring online b, override" => online("b", true),
        "recycle" => Command::Recycle { comes_back: false, reason: Reason::none() },
        "recycle for good" => Command::Recycle { comes_back: true, reason: Reason::none() },
        "register" | "register by missed call" => Command::Register {
            task: task(),
            verify_type: if verb == "register" { VerifyType::Sms } else { VerifyType::MissedCall },
            account_type: AccountType::Business,
            calling_code: "+86".parse().unwrap(),
            country: "CN".to_owned(),
            lifetime: LIFETIME,
            reason: Reason::none(),
        },
        "submit code" => Command::SubmitCode { code: SealedBytes(Box::new([4, 5, 6])), reason: Reason::none() },
        "submit the same code" => {
            Command::SubmitCode { code: SealedBytes(Box::new([1, 2, 3])), reason: Reason::none() }
        }
        "resync sync" => Command::Resync { channel: Channel::SyncStatus },
        "resync register" => Command::Resync { channel: Channel::RegisterStatus },
        "change labels" => Command::ChangeLabels { labels: labels(reason.as_str()), reason: Reason::none() },
        "erase" => Command::EraseSecrets { reason },
        "report connected" => Command::Report(Report::Connected { session, instance_code }),
        "report disconnected" => Command::Report(Report::Disconnected { session, reason, instance_code }),
        "report banned" => Command::Report(Report::Banned { reason, instance_code }),
        "report ban lifted" => Command::Report(Report::BanLifted),
        "report code sent" => Command::Report(Report::CodeSent { task: task() }),
        "report registration failed" => Command::Report(Report::RegistrationFailed { task: task(), reason }),
        "report code accepted" => Command::Report(Report::CodeAccepted { task: task() }),
        "report code refused" => {
            Command::Report(Report::CodeRefused { task: task(), attempt: number.unwrap(), reason })
        }
        "reconcile as of version" => Command::Reconcile {
            report: Report::Disconnected {
                session: None,
                reason: Reason::new("reconciled"),
                instance_code: String::new(),
            },
            as_of: u64::from(number.unwrap()),
        },
        "keep pin" => Command::KeepPin { pin: SealedBytes(Box::new([7])) },
        "call provider" => Command::CallProvider { call: call(&reason) },
        "give up coming since version" => Command::GiveUpComing { since_version: u64::from(number.unwrap()) },
        "reconnect since version" => Command::Reconnect { since_version: u64::from(number.unwrap()) },
        "give up registration" => Command::GiveUpRegistration { task: task() },
        other => panic!("no command is called {other:?}"),
    }
}

/// Formats an event as the words that [`event`] parses.
pub(super) fn show(event: &Event) -> String {
    let name = EventType::Account(event.event_type()).label();
    let because = |reason: &Reason| match reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    match event {
        Event::AccountImported { content, .. } | Event::ContentReplaced { content, .. } => {
            format!("{name} {}", char::from(content.fingerprint.0[0]))
        }
        Event::RegistrationRequested { task, .. } => format!("{name} #{}", task.get()),
        Event::WentOffline { reason, .. } | Event::Banned { reason, .. } | Event::SecretsErased { reason } => {
            format!("{name}{}", because(reason))
        }
        Event::LabelsChanged { labels, .. } => {
            let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{name}: {}", pairs.join(" "))
        }
        Event::GatewayAssigned { gateway } => format!("{name}: {}", gateway.name()),
        Event::ProviderCalled { call, .. } => format!("{name}: {}", call.name()),
        Event::SessionNumbersAdvanced { last } => format!("{name} {last}"),
        Event::RegistrationFailed { reason, attempt, still_waiting: true } => {
            format!("code refused {attempt}{}", because(reason))
        }
        Event::RegistrationFailed { reason, attempt: 0, .. } => format!("{name}{}", because(reason)),
        Event::RegistrationFailed { reason, attempt, .. } => format!("{name} {attempt}{}", because(reason)),
        Event::OnlineRequested { .. }
        | Event::CameOnline { .. }
        | Event::RecycleRequested { .. }
        | Event::BanLifted
        | Event::CodeSent
        | Event::CodeSubmitted { .. }
        | Event::PinKept { .. }
        | Event::StatusResynced { .. }
        | Event::RegistrationResynced { .. }
        | Event::Registered => name,
    }
}

/// Labels from words such as `team=care tier=gold`.
pub(super) fn labels(words: &str) -> Labels {
    Labels::new(words.split_whitespace().map(|pair| pair.split_once('=').unwrap())).unwrap()
}

fn call(reason: &Reason) -> ProviderCall {
    let all = [ProviderCall::RequestCode, ProviderCall::Register, ProviderCall::Deregister];
    all.into_iter().find(|call| call.name() == reason.as_str()).expect("a call after the colon")
}

/// `verb #task number: reason`; all parts but the verb are optional.
struct Phrase {
    verb: String,
    task: Option<TaskId>,
    number: Option<u32>,
    reason: Reason,
}

impl Phrase {
    fn of(words: &str) -> Phrase {
        let (words, reason) = words.split_once(": ").unwrap_or((words, ""));
        let (mut verb, mut task, mut number) = (Vec::new(), None, None);
        for word in words.split_whitespace() {
            if let Some(id) = word.strip_prefix('#') {
                task = id.parse().ok().and_then(TaskId::new);
            } else if let Ok(found) = word.parse() {
                number = Some(found);
            } else {
                verb.push(word);
            }
        }
        Phrase { verb: verb.join(" "), task, number, reason: Reason::new(reason) }
    }
}
