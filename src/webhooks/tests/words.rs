//! Bodies, ids and verdicts, as text; and what the book remembers.

use std::fmt::Write;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::super::book::Book;
use super::super::delivery::Form;
use super::super::entries::{read_again, read_row, row_bytes};
use super::super::lane::{Note, Row};
use super::super::taken::Taken;
use super::super::trail::{Attempt, Letter, State, Trail};
use super::super::verdict::{Failure, judge};
use super::super::waits::{Moment, Wait};
use crate::domain::{AccountNumber, Channel, Event, Reason, Sealed, Timestamp};
use crate::journal::{Fact, Origin, Recorded, Stream};
use crate::limits::TAKEN_TOGETHER;
use crate::store::{StoreId, Table};
use crate::testkit::fixture::Fixture;

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
    let failed = |still_waiting| Event::RegistrationFailed { reason: Reason::none(), attempt: 1, still_waiting };
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
        failed(true),
        failed(false),
        Event::SecretsErased { reason: Reason::new("asked to") },
    ];
    let mut told = String::new();
    for (event, position) in events.into_iter().zip(1..) {
        let record = record(position, event);
        for (channel, status_as_string, with_still_waiting) in [
            (Channel::SyncStatus, false, false),
            (Channel::RegisterStatus, false, false),
            (Channel::RegisterStatus, true, false),
            (Channel::RegisterStatus, false, true),
        ] {
            let form = Form { channel, store: StoreId(0x7f3a), status_as_string, with_still_waiting };
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

/// The bytes of a body as the manual writes it: `\xEF` is one byte.
fn bytes(written: &str) -> Vec<u8> {
    let mut parts = written.split("\\x");
    let first = parts.next().unwrap().as_bytes().to_vec();
    let escaped =
        parts.flat_map(|part| [&[u8::from_str_radix(&part[..2], 16).unwrap()], &part.as_bytes()[2..]].concat());
    first.into_iter().chain(escaped).collect()
}

#[test]
fn a_receiver_is_judged_as_the_manual_says() {
    let manual = include_str!("../../manual/receivers.md");
    let table = manual.split("| status | body |").nth(1).unwrap().lines().skip(2).take_while(|line| !line.is_empty());
    let (mut verdicts, mut judged) = (String::new(), 0);
    for row in table {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [statuses, bodies, expected @ ..] = &cells[..] else { panic!("{row}") };
        let mut bodies: Vec<&str> = bodies.split('`').skip(1).step_by(2).collect();
        bodies.extend(row.contains("an empty body").then_some(""));
        for (status, written) in statuses.split(", ").flat_map(|it| bodies.iter().map(move |body| (it, *body))) {
            let judge = |accept_plain| judge(status.parse().unwrap(), &bytes(written), accept_plain);
            let [strict, plain] = [judge(false), judge(true)];
            let words = [&strict, &plain].map(|verdict| verdict.as_ref().map_or_else(Failure::class, |()| "yes"));
            assert_eq!(words, expected, "{status} {written}");
            if let Err(failure) = strict {
                writeln!(verdicts, "{status} {written}: {failure}").unwrap();
            }
            judged += 1;
        }
    }
    assert!(judged > 50, "{judged}");
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        assert_snapshot!("webhook_verdicts", verdicts);
    });
}

#[test]
fn the_book_remembers_and_forgets() {
    let Fixture { store, .. } = &Fixture::new();
    let [sync, register] = Channel::ALL.map(|channel| Book::open(store.clone(), channel));
    assert_eq!(sync.cursor().unwrap(), None);
    sync.set_cursor(7).unwrap();
    register.set_cursor(9).unwrap();
    let now = Moment { wall: Timestamp(4), steady: Timestamp(1_000) };
    let write = |note| sync.write(&note, now).unwrap();
    let row = Row { next: 3, failed: 2, tried: 3, until: Some(Timestamp(1_060)) };
    let blocked = Row { next: 5, failed: 7, tried: 7, until: None };
    let other = "861821726231".parse().unwrap();
    write(Note::Hold { account: account(), row });
    write(Note::Hold { account: other, row: blocked });
    assert_eq!(sync.rows(now).unwrap(), [(other, blocked), (account(), row)]);
    assert_eq!((sync.row(other, now).unwrap(), register.row(other, now).unwrap()), (Some(blocked), None));
    let delivery =
        Form { channel: Channel::SyncStatus, store: StoreId(1), status_as_string: false, with_still_waiting: false }
            .delivery(&record(2, Event::OnlineRequested))
            .unwrap();
    let letter = Letter::new(&delivery, 7, Failure::Status(500).to_string(), Timestamp(5));
    sync.put_letter(2, &letter).unwrap();
    // As the first format had it.
    let old =
        [1, account().get(), 7, 5].iter().flat_map(|word: &u64| word.to_le_bytes()).chain(*b"no").collect::<Vec<_>>();
    store.put(Table::DeadLetters, &[&b"sync"[..], &3_u64.to_be_bytes()].concat(), &old).unwrap();
    let letters: Vec<_> = sync.letters(0).map(Result::unwrap).collect();
    assert_eq!(letters[0], (2, letter));
    assert_eq!((letters[1].0, letters[1].1.failure.as_str(), letters[1].1.body.as_ref()), (3, "no", None));
    assert_eq!((letters.len(), register.letters(0).count()), (2, 0));
    for position in [9, 8] {
        sync.put_again(account(), position, 0, Wait::NONE).unwrap();
    }
    write(Note::Postpone { account: account(), position: 8, failed: 1, until: Timestamp(1_080) });
    assert_eq!(sync.first_again(account()).unwrap(), Some((8, 1)));
    assert!(sync.is_again(account(), 9).unwrap() && !sync.is_again(other, 9).unwrap());
    assert_eq!(sync.again(now).unwrap(), [(account(), Timestamp(1_080))]);
    write(Note::SentAgain { account: account(), position: 8 });
    assert_eq!((sync.first_again(account()).unwrap(), sync.count_again().unwrap()), (Some((9, 0)), 1));
    assert_eq!(sync.first_again(other).unwrap(), None);
    write(Note::Supersede { delivery, by: 3 });
    let trail = sync.trail(2).unwrap().unwrap();
    assert_eq!((trail.state, trail.by, sync.last_trail().unwrap()), (State::Superseded, Some(3), 2));
    assert_eq!(sync.prune(0, Timestamp(4), 10).unwrap(), None);
    assert!(sync.trail(2).unwrap().is_some(), "not before its time");
    for position in 3..9 {
        sync.put_trail(position, &Trail::new(State::Waiting, Timestamp(1))).unwrap();
    }
    assert_eq!(sync.prune(0, Timestamp(5), 4).unwrap(), Some(6));
    assert_eq!(sync.prune(6, Timestamp(5), 4).unwrap(), None);
    assert_eq!((sync.trail(2).unwrap(), sync.last_trail().unwrap()), (None, 8), "only what is over");
    for position in 3..9 {
        sync.put_trail(position, &Trail::new(State::Delivered, Timestamp(1))).unwrap();
    }
    sync.prune(0, Timestamp(5), 10).unwrap();
    assert_eq!((sync.trail(2).unwrap(), sync.last_trail().unwrap()), (None, 0));
    assert_eq!(register.rows(now).unwrap(), []);
    assert_eq!((sync.cursor().unwrap(), register.cursor().unwrap()), (Some(7), Some(9)));
    register.put_again(account(), 9, 0, Wait::NONE).unwrap();
    sync.close().unwrap();
    assert_eq!((sync.rows(now).unwrap(), sync.cursor().unwrap(), sync.all_again().unwrap()), (vec![], None, vec![]));
    assert_eq!((register.cursor().unwrap(), register.all_again().unwrap()), (Some(9), vec![(account(), 9)]));
    assert_eq!(sync.count_letters().unwrap(), 2, "dead letters stay");
}

/// The bytes of every format of a row, as it was written; 60 µs of a wait of 90 are left by the wall clock.
#[test]
fn rows_of_every_format_are_read() {
    let hex = |text: &str| -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    };
    let formats = [
        "0100000000000000 0900000000000000 0200000000000000 4000000000000000",
        "0200000000000000 0900000000000000 0200000000000000 4000000000000000 0300000000000000",
        "0300000000000000 0900000000000000 0200000000000000 4000000000000000 0300000000000000 5a00000000000000",
    ]
    .map(|text| hex(&text.replace(' ', "")));
    let [set_back, usual, set_ahead] =
        [-1_000_000_000, 4, 1_000_000_000].map(|wall| Moment { wall: Timestamp(wall), steady: Timestamp(500) });
    for (bytes, tried) in formats.iter().zip([2, 3, 3]) {
        let read = |now| read_row(bytes, now).unwrap();
        assert_eq!(read(usual), Row { next: 9, failed: 2, tried, until: Some(Timestamp(560)) });
        assert_eq!(read(set_ahead).until, Some(Timestamp(500)), "it is over by the wall clock");
    }
    let [.., newest] = &formats;
    assert_eq!(read_row(newest, set_back).unwrap().until, Some(Timestamp(590)), "no more than its length");
    let written = row_bytes(&read_row(newest, set_back).unwrap(), Moment { wall: Timestamp(-26), ..usual });
    assert_eq!(&written, newest);
    let never =
        hex(&"0200000000000000 0900000000000000 0700000000000000 ffffffffffffff7f 0700000000000000".replace(' ', ""));
    assert_eq!(read_row(&never, usual), Some(Row { next: 9, failed: 7, tried: 7, until: None }));
    let again = [
        "0100000000000000 0200000000000000 4000000000000000",
        "0200000000000000 0200000000000000 4000000000000000 5a00000000000000",
    ]
    .map(|text| read_again(&hex(&text.replace(' ', ""))));
    assert_eq!(again.map(|(failed, wait)| (failed, usual.end_of(wait))), [(2, Timestamp(560)); 2]);
    assert_eq!(set_back.end_of(again[1].1), Timestamp(590));
    assert_eq!(read_again(&[7]), (0, Wait::NONE), "one that cannot be read is due at once");
}

fn attempt(at: i64, status: Option<u16>, response: &str) -> Attempt {
    Attempt { at, micros: 10, status, failure: None, response: response.to_owned(), next: None }
}

#[test]
fn the_book_remembers_what_was_taken_at_once() {
    let Fixture { store, .. } = &Fixture::new();
    let [sync, register] = Channel::ALL.map(|channel| Book::open(store.clone(), channel));
    for position in [600, 300, 301] {
        sync.put_taken(position, attempt(position as i64, Some(200), "ok"));
    }
    let remembered = |book: &Book| {
        let trails = [300, 301, 302, 600].map(|position| book.trail(position).unwrap());
        trails.map(|trail| trail.map(|Trail { state, attempts, .. }| (state, attempts.len())))
    };
    let taken = Some((State::Delivered, 1));
    assert_eq!(remembered(&sync), [taken, taken, None, taken], "before it is written");
    sync.flush().unwrap();
    sync.put_taken(302, attempt(302, None, ""));
    sync.set_cursor(7).unwrap();
    let sync = Book::open(store.clone(), Channel::SyncStatus);
    assert_eq!(remembered(&sync), [taken; 4], "a row is added to");
    assert_eq!(remembered(&register), [None; 4]);
    assert!((600..768).contains(&sync.last_trail().unwrap()));
    let mut trail = sync.trail(301).unwrap().unwrap();
    assert_eq!((trail.clone(), trail.attempts[0].response.as_str()), (attempt(301, Some(200), "ok").only(), "ok"));
    trail.add(attempt(900, Some(500), "no"), State::Delivered, Timestamp(910));
    sync.put_trail(301, &trail).unwrap();
    assert_eq!(remembered(&sync), [taken, Some((State::Delivered, 2)), taken, taken], "sent again");
    let prune = |time| {
        for prune in [Book::prune, Book::prune_taken] {
            assert_eq!(prune(&sync, 0, Timestamp(time), 10_000).unwrap(), None);
        }
    };
    prune(312);
    assert_eq!(remembered(&sync), [None, Some((State::Delivered, 2)), taken, taken]);
    prune(911);
    assert_eq!((remembered(&sync), store.scan_from(Table::Taken, b"").count()), ([None; 4], 0));
}

proptest! {
    #[test]
    fn a_row_of_what_was_taken_is_read_as_it_was_written(
        row in 0..1_000_u64,
        attempts in prop::collection::btree_map(
            0..TAKEN_TOGETHER,
            (any::<i64>(), any::<u32>(), prop::option::of(100..600_u16), "[a-c]{0,2}"),
            0..300,
        ),
    ) {
        let first = row * TAKEN_TOGETHER;
        let taken = Taken(attempts.into_iter().map(|(offset, (at, micros, status, response))| {
            // Within some centuries of 1970, so that differences are no larger than times.
            let at = at / 1_000;
            (first + offset, Attempt { micros: micros.into(), ..attempt(at, status, &response) })
        }).collect());
        prop_assert_eq!(Taken::read(first, &taken.bytes()), taken);
    }
}

#[test]
fn a_full_row_of_what_was_taken_is_a_page() {
    let answer = r#"{"data":"","code":200,"message":"success"}"#;
    let at = |position| attempt(1_666_942_813_620_000 + position as i64 * 1_000, Some(200), answer);
    let taken = Taken((0..TAKEN_TOGETHER).map(|position| (position, at(position))).collect());
    assert!(taken.bytes().len() < 4_096, "{} bytes", taken.bytes().len());
}
