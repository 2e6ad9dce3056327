//! Bodies, ids and verdicts, as text; and what the book remembers.

use std::fmt::Write;

use insta::assert_snapshot;
use tempfile::TempDir;

use super::super::book::Book;
use super::super::delivery::{Delivery, Form};
use super::super::lanes::{Note, Row};
use super::super::verdict::{Failure, judge};
use crate::config::Settings;
use crate::domain::{AccountNumber, Channel, Event, Reason, Sealed, Timestamp};
use crate::journal::{Fact, Origin, Recorded, Stream};
use crate::store::{Store, StoreId};

fn account() -> AccountNumber {
    "861821726232".parse().unwrap()
}

fn record(position: u64, event: Event) -> Recorded {
    let at = Timestamp(1_666_942_813_620_000);
    Recorded {
        position,
        stream: Stream::Account(account()),
        version: position,
        previous: position - 1,
        at,
        origin: Origin::SERVICE,
        fact: Fact::Event(event),
    }
}

#[test]
fn each_event_is_told_in_the_contracts_words() {
    let (reason, code) = (Reason::new("1002"), || "scan-1".to_owned());
    let failed = Event::RegistrationFailed { reason: Reason::none(), attempt: 1, still_waiting: true };
    let events = [
        Event::OnlineRequested,
        Event::CameOnline { instance_code: code() },
        Event::RecycleRequested,
        Event::WentOffline { reason: reason.clone(), instance_code: code() },
        Event::Banned { reason: Reason::new("spam, \"bulk\"\n"), instance_code: String::new() },
        Event::BanLifted,
        Event::CodeSent,
        Event::CodeSubmitted { code: Sealed(Box::default()) },
        Event::Registered,
        failed,
    ];
    let mut told = String::new();
    for (event, position) in events.into_iter().zip(1..) {
        let record = record(position, event);
        for (channel, status_as_string) in
            [(Channel::SyncStatus, false), (Channel::RegisterStatus, false), (Channel::RegisterStatus, true)]
        {
            let form = Form { channel, store: StoreId(0x7f3a), status_as_string };
            if let Some(delivery) = form.delivery(&record) {
                let body = str::from_utf8(&delivery.body).unwrap();
                writeln!(told, "{}: {}\n  {body}", record.fact.name().unwrap(), form.id(&delivery)).unwrap();
            }
        }
    }
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        assert_snapshot!("webhook_bodies", told);
    });
}

#[test]
fn a_receiver_is_judged_by_status_and_code() {
    let mut verdicts = String::new();
    for status in [200, 201, 204, 302, 410, 500] {
        for body in [
            r#"{"code":200}"#,
            r#"{"data":"","code":0}"#,
            r#"{"code":500}"#,
            r#"{"code":"200"}"#,
            r#"{"code":"500"}"#,
            "{}",
            "ok",
            "",
        ] {
            let words = |accept_plain| match judge(status, body.as_bytes(), accept_plain) {
                Ok(()) => "taken".to_owned(),
                Err(failure) => failure.to_string(),
            };
            let (strict, plain) = (words(false), words(true));
            writeln!(verdicts, "{status} {body}: {strict}").unwrap();
            if plain != strict {
                writeln!(verdicts, "    accept_plain_2xx: {plain}").unwrap();
            }
        }
    }
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        assert_snapshot!("webhook_verdicts", verdicts);
    });
}

#[test]
fn the_book_remembers_and_forgets() {
    let directory = TempDir::new().unwrap();
    let store = Store::open(&directory.path().join("data"), &Settings::default().store).unwrap();
    let [sync, register] = Channel::ALL.map(|channel| Book::open(store.clone(), channel));
    assert_eq!((sync.cursor().unwrap(), sync.close().unwrap()), (None, false));
    sync.set_cursor(7).unwrap();
    register.set_cursor(9).unwrap();
    let row = Row { next: 3, failed: 2, until: Timestamp(-1) };
    sync.write(&Note::Hold { account: account(), row }).unwrap();
    let delivery = Delivery { account: account(), position: 2, at: Timestamp(0), body: bytes::Bytes::new() };
    sync.write(&Note::Bury { delivery, attempts: 7, failure: Failure::Status(500), at: Timestamp(5) }).unwrap();
    assert_eq!(sync.rows().unwrap(), [(account(), row)]);
    assert_eq!(register.rows().unwrap(), []);
    assert_eq!((sync.cursor().unwrap(), register.cursor().unwrap()), (Some(7), Some(9)));
    assert!(sync.close().unwrap());
    assert_eq!((sync.rows().unwrap(), sync.cursor().unwrap(), register.cursor().unwrap()), (vec![], None, Some(9)));
}
