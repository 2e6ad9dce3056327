//! The table of event types agrees with what events do.

use std::time::Duration;

use super::*;

/// One event of each kind that affects a status or a registration, and one that affects neither.
fn events() -> Vec<Event> {
    let (reason, instance_code) = (Reason::none, String::new);
    let failed = |still_waiting| Event::RegistrationFailed { reason: reason(), attempt: 1, still_waiting };
    vec![
        Event::OnlineRequested { reason: reason() },
        Event::CameOnline { instance_code: instance_code() },
        Event::RecycleRequested { reason: reason() },
        Event::WentOffline { reason: reason(), instance_code: instance_code() },
        Event::Banned { reason: reason(), instance_code: instance_code() },
        Event::BanLifted,
        Event::RegistrationRequested {
            task: TaskId::new(1).unwrap(),
            verify_type: VerifyType::Sms,
            account_type: AccountType::Personal,
            calling_code: "+86".parse().unwrap(),
            country: "CN".to_owned(),
            expires_at: Timestamp(0),
            lifetime: Duration::ZERO,
            reason: reason(),
        },
        Event::CodeSent,
        Event::CodeSubmitted { code: SealedBytes(Box::default()), reason: reason() },
        Event::Registered,
        failed(false),
        failed(true),
        Event::GatewayAssigned { gateway: GatewayKind::Bridge },
        Event::ProviderCalled { call: ProviderCall::RequestCode, at: Timestamp(0) },
        Event::LabelsChanged { labels: Labels::NONE, reason: reason() },
        Event::StatusResynced {
            status: Status::Normal,
            online_status: OnlineStatus::Offline,
            reason: reason(),
            instance_code: instance_code(),
        },
    ]
}

#[test]
fn definitions_agree_with_evolve() {
    for [first, second, event] in triples(&events()) {
        let mut account = Account::initial();
        account.evolve(first);
        account.evolve(second);
        let before = account.clone();
        account.evolve(event);
        let standing = event.definition().resulting_status.unwrap_or((before.status, before.online_status));
        assert_eq!((account.status, account.online_status), standing, "{first:?}, {second:?}, {event:?}");
        let awaits = event.awaits_code().unwrap_or(before.registration.is_some());
        assert_eq!(account.registration.is_some(), awaits, "{first:?}, {second:?}, {event:?}");
    }
}

#[test]
fn each_channel_is_listed() {
    for channel in AccountEventType::ALL.iter().filter_map(|it| it.definition().channel) {
        assert_eq!(Channel::ALL.get(channel as usize), Some(&channel));
    }
}

fn triples(events: &[Event]) -> impl Iterator<Item = [&Event; 3]> {
    let pairs = events.iter().flat_map(|first| events.iter().map(move |second| (first, second)));
    pairs.flat_map(|(first, second)| events.iter().map(move |third| [first, second, third]))
}
