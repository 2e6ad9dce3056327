//! Pages, filters, orders.

use super::*;
use crate::domain::{EventType, OnlineStatus, Status};

/// The event ids on a page.
fn ids(page: &QueryPage<EventView>) -> Vec<u64> {
    page.items.iter().map(|event| event.record.position).collect()
}

#[tokio::test]
async fn filters_and_pages_of_all() {
    let fixture = AuditFixture::with_history().await;
    let check = |filter: EventFilter, expected: &[u64]| {
        for limit in [1, 2, 3, 100] {
            let (mut found, mut after) = (Vec::new(), Some(0));
            while let Some(position) = after {
                let page = fixture.audit.events(position, &filter, limit).unwrap();
                assert!(page.items.len() <= limit);
                found.extend(ids(&page));
                after = page.next;
            }
            assert_eq!(found, expected, "{filter:?}, {limit} to a page");
            let (mut found, mut before) = (Vec::new(), Some(u64::MAX));
            while let Some(position) = before {
                let page = fixture.audit.events_back(position, &filter, limit).unwrap();
                assert!(page.items.len() <= limit);
                found.extend(ids(&page));
                before = page.next;
            }
            assert!(found.iter().rev().eq(expected), "{filter:?}, {limit} to a page, backwards: {found:?}");
        }
    };
    check(EventFilter::default(), &(1..=16).collect::<Vec<_>>());
    let first = Some(FIRST.parse().unwrap());
    check(EventFilter { account: first, ..EventFilter::default() }, &[1, 2, 5, 8, 9, 10]);
    let types = event_types(&["came_online", "muster.account.banned.v1"]);
    check(EventFilter { types: types.clone(), ..EventFilter::default() }, &[5, 6, 7]);
    check(EventFilter { account: first, types, ..EventFilter::default() }, &[5]);
    check(EventFilter { since: Some(at(13)), ..EventFilter::default() }, &[14, 15, 16]);
    check(EventFilter { since: Some(at(2)), until: Some(at(4)), ..EventFilter::default() }, &[3, 4]);
    check(EventFilter { types: event_types(&["backup_taken"]), ..EventFilter::default() }, &[16]);
    check(EventFilter { account: Some("861821729999".parse().unwrap()), ..EventFilter::default() }, &[]);
    for (parameters, expected) in [
        (&[("key", "7")][..], &[1, 2, 3, 4, 8, 9, 11, 13][..]),
        (&[("key", "2")], &[]),
        (&[("origin", "caller")], &[1, 2, 3, 4, 8, 9, 11, 13]),
        (&[("origin", "caller:7")], &[1, 2, 3, 4, 8, 9, 11, 13]),
        (&[("origin", "operator")], &[16]),
        (&[("origin", "operator:7")], &[]),
        (&[("origin", "gateway")], &[5, 6, 7, 10, 12, 14, 15]),
        (&[("origin", "gateway:simulator")], &[5, 6, 7, 10, 12, 14, 15]),
        (&[("origin", "gateway:bridge")], &[]),
        (&[("origin", "service")], &[]),
        (&[("requestid", "00000000000000000000000000000ABC")], &[]),
        (&[("requestid", "0000000000000000000000000000ABC2")], &[3]),
        (&[("reason~", "SPAM")], &[7]),
        (&[("reason~", "n")], &[14]),
        (&[("reason~", "n"), ("account", FIRST)], &[]),
        (&[("origin", "gateway"), ("reason~", "a"), ("type", "banned,came_online")], &[7]),
    ] {
        check(filter(parameters).unwrap(), expected);
    }
    assert_eq!(parse_event_type("muster.administration.restored.v1"), EventType::from_name("restored"));
    for unknown in ["bannned", "muster.account.banned.v2", ""] {
        assert_eq!(parse_event_type(unknown), None, "{unknown}");
    }
}

fn filter(parameters: &[(&str, &'static str)]) -> Result<EventFilter, InvalidFilter> {
    EventFilter::parse(|name| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
}

#[test]
fn unknown_values_say_what_is_allowed() {
    for (parameter, value, allowed) in [
        ("type", "bannned", "must be one or more of account_imported, "),
        ("since", "today", "must be a time such as "),
        ("until", "2026", "must be a time such as "),
        ("account", "86x", "must be "),
        ("key", "0", "must be the number of an API key, such as 7"),
        ("key", "+7", "must be the number of an API key"),
        (
            "origin",
            "",
            "must be caller, operator, either with a key's number as in caller:7, gateway, gateway:simulator, ",
        ),
        ("origin", "caller:bridge", "must be caller, operator"),
        ("origin", "gateway:foo", "must be caller, operator"),
        ("origin", "service:1", "must be caller, operator"),
        ("requestid", "abc", "must be the id of a request, 32 hex digits"),
        ("requestid", "+0000000000000000000000000000000", "must be the id of a request"),
        ("reason~", "", "must be 1 to 1024 bytes of text on one line"),
        ("reason~", "two\nlines", "must be 1 to 1024 bytes of text on one line, without a line end (U+000A)"),
    ] {
        let invalid = filter(&[(parameter, value)]).unwrap_err();
        assert_eq!(invalid.parameter, parameter, "{value:?}");
        assert!(invalid.words.starts_with(allowed), "{parameter}={value:?}: {}", invalid.words);
    }
}

/// A key has one identity, whatever role it acted in; no number of something else is a key's.
#[test]
fn a_key_is_found_in_every_role() {
    let header = |principal| journal::RecordHeader {
        position: 1,
        stream: journal::StreamId::Administration,
        at: at(0),
        event_type: None,
        origin: Origin { principal, request: RequestId(0) },
    };
    let of_key = filter(&[("key", "1")]).unwrap();
    for (principal, is_of_key) in [
        (Principal::Caller(1), true),
        (Principal::Operator(1), true),
        (Principal::Operator(0), false),
        (Principal::Caller(2), false),
        (Principal::Gateway(1), false),
        (Principal::Service, false),
    ] {
        assert_eq!(of_key.matches_header(&header(principal)), is_of_key, "{principal:?}");
    }
}

/// Backups are found by their key, even if it was replaced meanwhile and is in use again.
#[tokio::test]
async fn the_backups_of_a_key_are_found() {
    let fixture = AuditFixture::empty();
    let [first, second] = [1, 2].map(|id| Some(MasterKeyId(id)));
    let backup = |position, master_key| AdministrativeEvent::BackupTaken { position, master_key };
    let rotated = |master_key| AdministrativeEvent::MasterKeyRotated { rewrapped: 3, master_key };
    for event in [
        backup(10, first),
        backup(11, None),
        rotated(second),
        backup(20, second),
        AdministrativeEvent::Restored { position: 21, master_key: None },
        rotated(first),
        backup(30, first),
        // Taken before the rotation, and recorded after it.
        backup(31, second),
        backup(32, None),
    ] {
        let entry = AuditLogEntry { event, source: "command line".to_owned() };
        fixture.audit.journal.append_administrative_event(entry, Origin::OPERATOR, at(100)).await.unwrap();
    }
    for (keys, expected) in
        [(&[first][..], &["32", "30", "10"][..]), (&[first, second], &["32", "31", "30", "20", "10"])]
    {
        let keys: Vec<MasterKeyId> = keys.iter().copied().flatten().collect();
        let known = fixture.audit.backups_of_master_keys(&keys).unwrap();
        let found: Vec<&str> = known.latest.iter().map(|backup| backup.position.as_str()).collect();
        assert_eq!((found.as_slice(), known.count), (expected, expected.len() as u64));
    }
}

#[tokio::test]
async fn the_audit_log_is_filtered() {
    let fixture = AuditFixture::with_history().await;
    for position in 1..=20 {
        let event = match position % 2 {
            0 => AdministrativeEvent::BackupTaken { position, master_key: None },
            _ => AdministrativeEvent::WebhookPaused {
                channel: crate::domain::Channel::SyncStatus,
                reason: format!("Maintenance {position}"),
            },
        };
        let entry = AuditLogEntry { event, source: "command line".to_owned() };
        fixture.audit.journal.append_administrative_event(entry, Origin::OPERATOR, at(100)).await.unwrap();
    }
    for (parameters, expected) in [
        (&[("reason~", "maintenance")][..], (0..10).map(|index| 35 - 2 * index).collect::<Vec<u64>>()),
        (&[("reason~", "maintenance 19")], vec![35]),
        (&[("type", "backup_taken"), ("until", "2026-11-25T09:01:30Z")], vec![16]),
        (&[("origin", "caller")], vec![]),
    ] {
        let filter = filter(parameters).unwrap();
        for limit in [1, 3, 100] {
            let (mut found, mut from) = (Vec::new(), None);
            loop {
                let page = fixture.audit.administrative_events(from, &filter, limit).unwrap().unwrap();
                found.extend(ids(&page));
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{parameters:?}, {limit} to a page");
        }
    }
}

fn event_types(names: &[&str]) -> Vec<EventType> {
    names.iter().map(|name| parse_event_type(name).unwrap()).collect()
}

#[tokio::test]
async fn one_history_in_both_orders() {
    let fixture = AuditFixture::with_history().await;
    let check = |order, types: &[&str], expected: &[u64]| {
        let filter = EventFilter { types: event_types(types), ..EventFilter::default() };
        for limit in [1, 2, 3, 100] {
            let (mut found, mut from) = (Vec::new(), None);
            loop {
                let page = fixture.audit.history(SECOND.parse().unwrap(), order, from, &filter, limit).unwrap();
                found.extend(ids(&page));
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{order:?}, {types:?}, {limit} to a page");
        }
    };
    check(HistoryOrder::Ascending, &[], &[3, 4, 6, 7, 11, 12, 13, 14, 15]);
    check(HistoryOrder::Descending, &[], &[15, 14, 13, 12, 11, 7, 6, 4, 3]);
    check(HistoryOrder::Descending, &["banned", "registered"], &[15, 7]);
    check(HistoryOrder::Ascending, &["backup_taken"], &[]);
    let unknown = fixture.audit.history(
        "861821729999".parse().unwrap(),
        HistoryOrder::Ascending,
        None,
        &EventFilter::default(),
        1,
    );
    assert_eq!(unknown.unwrap_err().to_string(), "account 861821729999 is unknown");
}

#[tokio::test]
async fn accounts_are_filtered_by_state() {
    let fixture = AuditFixture::empty();
    let content = sample_history()[0].1.clone();
    let number = |index: u64| (861_821_700_000 + index).to_string();
    for index in 0..2_500 {
        fixture.happen(&number(index), content.clone(), 0).await;
    }
    fixture.happen(&number(2_000), Event::OnlineRequested { reason: Reason::none() }, 1).await;
    fixture.happen(&number(7), Event::Banned { reason: Reason::none(), instance_code: String::new() }, 2).await;
    let check = |filter: AccountFilter, expected: Vec<u64>| {
        for limit in [1_000, 7] {
            let (mut found, mut from) = (Vec::new(), Some(0));
            while let Some(cursor) = from {
                let page = fixture.audit.accounts(&filter, cursor, limit);
                found.extend(page.items.iter().map(|row| row.whats_app.parse::<u64>().unwrap() - 861_821_700_000));
                from = page.next;
            }
            assert_eq!(found, expected, "{filter:?}, {limit} to a page");
        }
    };
    check(AccountFilter::default(), (0..2_500).collect());
    check(AccountFilter { prefix: "86182170123".to_owned(), ..AccountFilter::default() }, (1_230..1_240).collect());
    check(AccountFilter { status: Some(Status::Banned), ..AccountFilter::default() }, vec![7]);
    check(AccountFilter { online_status: Some(OnlineStatus::OnlineComing), ..AccountFilter::default() }, vec![2_000]);
    let counts = fixture.audit.roster().counts();
    // The counts match the rows.
    for (status, online_status, accounts) in counts.by_state() {
        let has_state = |_, it, online| (it, online) == (status, online_status);
        let (found, _) = fixture.audit.roster().select(0, usize::MAX, has_state);
        assert_eq!(accounts, found.len() as u64, "{status:?}, {online_status:?}");
    }
    assert_eq!((counts.total(), counts.online(), counts.banned()), (2_500, 0, 1));
}
