//! Snapshots of payloads, ids and response checks; and the delivery store.

use std::fmt::Write;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::super::attempt_log::{AttemptLog, DeadLetter, DeliveryAttempt, DeliveryState};
use super::super::delivery::PayloadBuilder;
use super::super::delivery_store::DeliveryStore;
use super::super::delivery_store_encoding::{decode_lane_row, decode_redelivery, encode_lane_row};
use super::super::lane::{LaneChange, LaneRow};
use super::super::response_check::{AttemptFailure, check_response};
use super::super::retry_schedule::{Moment, RetryWait};
use super::super::success_log::SuccessLog;
use crate::domain::{AccountNumber, Channel, Event, Reason, SealedBytes, Timestamp};
use crate::journal::{Generations, JournalEvent, JournalRecord, Origin, StreamId};
use crate::limits::SUCCESS_LOG_POSITIONS_PER_ROW;
use crate::store::{StoreId, Table};
use crate::testkit::fixture::StorageFixture;

fn account() -> AccountNumber {
    "861821726232".parse().unwrap()
}

fn record(position: u64, event: Event) -> JournalRecord {
    let at = Timestamp(1_666_942_813_620_000);
    JournalRecord {
        position,
        stream: StreamId::Account(account()),
        version: position,
        previous: position - 1,
        at,
        origin: Origin::SERVICE,
        schema: event.definition().schema,
        event: JournalEvent::Account(event),
    }
}

#[test]
fn payloads_are_as_the_contract_defines_them() {
    let (reason, code) = (Reason::new("1002"), || "scan-1".to_owned());
    let failed = |still_waiting| Event::RegistrationFailed { reason: Reason::none(), attempt: 1, still_waiting };
    let events = [
        Event::OnlineRequested { reason: Reason::none() },
        Event::CameOnline { instance_code: code() },
        Event::RecycleRequested { reason: Reason::none() },
        Event::WentOffline { reason: reason.clone(), instance_code: code() },
        Event::Banned { reason: Reason::new("spam, \"bulk\"\n"), instance_code: String::new() },
        Event::BanLifted,
        Event::CodeSent,
        Event::CodeSubmitted { code: SealedBytes(Box::default()), reason: Reason::none() },
        Event::Registered,
        failed(true),
        failed(false),
        Event::SecretsErased { reason: Reason::new("asked to") },
    ];
    let mut text = String::new();
    for (event, position) in events.into_iter().zip(1..) {
        let record = record(position, event);
        for (channel, status_as_string, with_still_waiting) in [
            (Channel::SyncStatus, false, false),
            (Channel::RegisterStatus, false, false),
            (Channel::RegisterStatus, true, false),
            (Channel::RegisterStatus, false, true),
        ] {
            let payloads = PayloadBuilder {
                channel,
                generations: Generations::default(),
                store: StoreId(0x7f3a),
                status_as_string,
                with_still_waiting,
                labels: None,
            };
            if let Some(delivery) = payloads.build_delivery(&record).unwrap() {
                let body = str::from_utf8(&delivery.body).unwrap();
                writeln!(
                    text,
                    "{}: {}\n  {body}",
                    record.event.event_type().unwrap().name(),
                    payloads.webhook_id(&delivery)
                )
                .unwrap();
            }
        }
    }
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        assert_snapshot!("webhook_bodies", text);
    });
}

/// The bytes of a body in the manual's notation: `\xEF` is one byte.
fn bytes(written: &str) -> Vec<u8> {
    let mut parts = written.split("\\x");
    let first = parts.next().unwrap().as_bytes().to_vec();
    let escaped =
        parts.flat_map(|part| [&[u8::from_str_radix(&part[..2], 16).unwrap()], &part.as_bytes()[2..]].concat());
    first.into_iter().chain(escaped).collect()
}

#[test]
fn responses_are_checked_as_the_manual_says() {
    let manual = include_str!("../../manual/receivers.md");
    let table = manual.split("| status | body |").nth(1).unwrap().lines().skip(2).take_while(|line| !line.is_empty());
    let (mut verdicts, mut judged) = (String::new(), 0);
    for row in table {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [statuses, bodies, expected @ ..] = &cells[..] else { panic!("{row}") };
        let mut bodies: Vec<&str> = bodies.split('`').skip(1).step_by(2).collect();
        bodies.extend(row.contains("an empty body").then_some(""));
        for (status, written) in statuses.split(", ").flat_map(|it| bodies.iter().map(move |body| (it, *body))) {
            let judge = |accept_plain| check_response(status.parse().unwrap(), &bytes(written), accept_plain);
            let [strict, plain] = [judge(false), judge(true)];
            let words =
                [&strict, &plain].map(|verdict| verdict.as_ref().map_or_else(AttemptFailure::class, |()| "yes"));
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

/// Other members may have any nesting depth, and numbers of any size.
#[test]
fn only_the_code_of_an_answer_is_read() {
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for beside in [&*nested, "1e999", "\"line1\nline2\"", r#""C:\dir""#] {
        for accept_plain in [false, true] {
            let judged =
                |code: &str| check_response(200, format!(r#"{{"x":{beside},"code":{code}}}"#).as_bytes(), accept_plain);
            assert_eq!(judged("0"), Ok(()), "{beside}");
            assert_eq!(judged("500"), Err(AttemptFailure::Code { status: 200, code: 500 }), "{beside}");
            for code in ["1e999", &nested] {
                assert_eq!(judged(code), Err(AttemptFailure::NoCode(200)), "{beside}");
            }
        }
    }
}

#[test]
fn the_delivery_store_keeps_and_prunes() {
    let StorageFixture { store, .. } = &StorageFixture::new();
    let [sync, register] =
        [Channel::SyncStatus, Channel::RegisterStatus].map(|channel| DeliveryStore::open(store.clone(), channel));
    assert_eq!(sync.cursor().unwrap(), None);
    sync.set_cursor(7).unwrap();
    register.set_cursor(9).unwrap();
    let now = Moment { wall: Timestamp(4), steady: Timestamp(1_000) };
    let write = |change| sync.apply_change(&change, now).unwrap();
    let row = LaneRow { next_position: 3, failed: 2, attempts: 3, due_at: Some(Timestamp(1_060)) };
    let blocked = LaneRow { next_position: 5, failed: 7, attempts: 7, due_at: None };
    let other = "861821726231".parse().unwrap();
    write(LaneChange::PutRow { account: account(), row });
    write(LaneChange::PutRow { account: other, row: blocked });
    assert_eq!(sync.lane_rows(now).unwrap(), [(other, blocked), (account(), row)]);
    assert_eq!((sync.lane_row(other, now).unwrap(), register.lane_row(other, now).unwrap()), (Some(blocked), None));
    let delivery = PayloadBuilder {
        channel: Channel::SyncStatus,
        generations: Generations::default(),
        store: StoreId(1),
        status_as_string: false,
        with_still_waiting: false,
        labels: None,
    }
    .build_delivery(&record(2, Event::OnlineRequested { reason: Reason::none() }))
    .unwrap()
    .unwrap();
    let letter = DeadLetter::new(&delivery, 7, AttemptFailure::Status(500).to_string(), Timestamp(5));
    sync.put_dead_letter(2, &letter).unwrap();
    // A dead letter of the first format.
    let old =
        [1, account().get(), 7, 5].iter().flat_map(|word: &u64| word.to_le_bytes()).chain(*b"no").collect::<Vec<_>>();
    store.put(Table::DeadLetters, &[&b"sync"[..], &3_u64.to_be_bytes()].concat(), &old).unwrap();
    let letters: Vec<_> = sync.dead_letters(0).map(Result::unwrap).collect();
    assert_eq!(letters[0], (2, letter));
    assert_eq!((letters[1].0, letters[1].1.failure.as_str(), letters[1].1.body.as_ref()), (3, "no", None));
    assert_eq!((letters.len(), register.dead_letters(0).count()), (2, 0));
    for position in [9, 8] {
        sync.put_redelivery(account(), position, 0, RetryWait::NONE).unwrap();
    }
    write(LaneChange::PutRedelivery { account: account(), position: 8, failed: 1, until: Timestamp(1_080) });
    assert_eq!(sync.first_redelivery(account()).unwrap(), Some((8, 1)));
    assert!(sync.has_redelivery(account(), 9).unwrap() && !sync.has_redelivery(other, 9).unwrap());
    assert_eq!(sync.redelivery_accounts(now).unwrap(), [(account(), Timestamp(1_080))]);
    write(LaneChange::RemoveRedelivery { account: account(), position: 8 });
    assert_eq!((sync.first_redelivery(account()).unwrap(), sync.count_redeliveries().unwrap()), (Some((9, 0)), 1));
    assert_eq!(sync.first_redelivery(other).unwrap(), None);
    write(LaneChange::MarkSuperseded { delivery, by: 3 });
    let log = sync.attempt_log(2).unwrap().unwrap();
    assert_eq!(
        (log.state, log.superseded_by, sync.last_logged_position().unwrap()),
        (DeliveryState::Superseded, Some(3), 2)
    );
    assert_eq!(sync.prune_attempt_logs(0, Timestamp(4), 10).unwrap(), None);
    assert!(sync.attempt_log(2).unwrap().is_some(), "not before its time");
    for position in 3..9 {
        sync.put_attempt_log(position, &AttemptLog::new(DeliveryState::Waiting, Timestamp(1))).unwrap();
    }
    assert_eq!(sync.prune_attempt_logs(0, Timestamp(5), 4).unwrap(), Some(6));
    assert_eq!(sync.prune_attempt_logs(6, Timestamp(5), 4).unwrap(), None);
    assert_eq!((sync.attempt_log(2).unwrap(), sync.last_logged_position().unwrap()), (None, 8), "only what is over");
    for position in 3..9 {
        sync.put_attempt_log(position, &AttemptLog::new(DeliveryState::Delivered, Timestamp(1))).unwrap();
    }
    sync.prune_attempt_logs(0, Timestamp(5), 10).unwrap();
    assert_eq!((sync.attempt_log(2).unwrap(), sync.last_logged_position().unwrap()), (None, 0));
    assert_eq!(register.lane_rows(now).unwrap(), []);
    assert_eq!((sync.cursor().unwrap(), register.cursor().unwrap()), (Some(7), Some(9)));
    register.put_redelivery(account(), 9, 0, RetryWait::NONE).unwrap();
    sync.close().unwrap();
    assert_eq!(
        (sync.lane_rows(now).unwrap(), sync.cursor().unwrap(), sync.redeliveries().unwrap()),
        (vec![], None, vec![])
    );
    assert_eq!((register.cursor().unwrap(), register.redeliveries().unwrap()), (Some(9), vec![(account(), 9)]));
    assert_eq!(sync.count_dead_letters().unwrap(), 2, "dead letters stay");
}

/// Rows of every format. By the wall clock, 60 µs of a wait of 90 µs are left.
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
    for (bytes, attempts) in formats.iter().zip([2, 3, 3]) {
        let read = |now| decode_lane_row(bytes, now).unwrap();
        assert_eq!(read(usual), LaneRow { next_position: 9, failed: 2, attempts, due_at: Some(Timestamp(560)) });
        assert_eq!(read(set_ahead).due_at, Some(Timestamp(500)), "it is over by the wall clock");
    }
    let [.., newest] = &formats;
    assert_eq!(decode_lane_row(newest, set_back).unwrap().due_at, Some(Timestamp(590)), "no more than its length");
    let written =
        encode_lane_row(&decode_lane_row(newest, set_back).unwrap(), Moment { wall: Timestamp(-26), ..usual });
    assert_eq!(&written, newest);
    let never =
        hex(&"0200000000000000 0900000000000000 0700000000000000 ffffffffffffff7f 0700000000000000".replace(' ', ""));
    assert_eq!(
        decode_lane_row(&never, usual),
        Some(LaneRow { next_position: 9, failed: 7, attempts: 7, due_at: None })
    );
    let again = [
        "0100000000000000 0200000000000000 4000000000000000",
        "0200000000000000 0200000000000000 4000000000000000 5a00000000000000",
    ]
    .map(|text| decode_redelivery(&hex(&text.replace(' ', ""))));
    assert_eq!(again.map(|(failed, wait)| (failed, usual.end_of_wait(wait))), [(2, Timestamp(560)); 2]);
    assert_eq!(set_back.end_of_wait(again[1].1), Timestamp(590));
    assert_eq!(decode_redelivery(&[7]), (0, RetryWait::NONE), "one that cannot be read is due at once");
}

fn attempt(at: i64, status: Option<u16>, response: &str) -> DeliveryAttempt {
    DeliveryAttempt { at, micros: 10, status, failure: None, response: response.to_owned(), next: None }
}

#[test]
fn the_delivery_store_keeps_successes() {
    let StorageFixture { store, .. } = &StorageFixture::new();
    let [sync, register] =
        [Channel::SyncStatus, Channel::RegisterStatus].map(|channel| DeliveryStore::open(store.clone(), channel));
    for position in [600, 300, 301] {
        sync.put_success(position, attempt(position as i64, Some(200), "ok"));
    }
    let remembered = |deliveries: &DeliveryStore| {
        let logs = [300, 301, 302, 600].map(|position| deliveries.attempt_log(position).unwrap());
        logs.map(|log| log.map(|AttemptLog { state, attempts, .. }| (state, attempts.len())))
    };
    let taken = Some((DeliveryState::Delivered, 1));
    assert_eq!(remembered(&sync), [taken, taken, None, taken], "before it is written");
    sync.flush().unwrap();
    sync.put_success(302, attempt(302, None, ""));
    sync.set_cursor(7).unwrap();
    let sync = DeliveryStore::open(store.clone(), Channel::SyncStatus);
    assert_eq!(remembered(&sync), [taken; 4], "a row is added to");
    assert_eq!(remembered(&register), [None; 4]);
    assert!((600..768).contains(&sync.last_logged_position().unwrap()));
    let mut log = sync.attempt_log(301).unwrap().unwrap();
    assert_eq!((log.clone(), log.attempts[0].response.as_str()), (attempt(301, Some(200), "ok").into_log(), "ok"));
    log.add(attempt(900, Some(500), "no"), DeliveryState::Delivered, Timestamp(910));
    sync.put_attempt_log(301, &log).unwrap();
    assert_eq!(remembered(&sync), [taken, Some((DeliveryState::Delivered, 2)), taken, taken], "sent again");
    let prune = |time| {
        for prune in [DeliveryStore::prune_attempt_logs, DeliveryStore::prune_successes] {
            assert_eq!(prune(&sync, 0, Timestamp(time), 10_000).unwrap(), None);
        }
    };
    prune(312);
    assert_eq!(remembered(&sync), [None, Some((DeliveryState::Delivered, 2)), taken, taken]);
    prune(911);
    assert_eq!((remembered(&sync), store.scan_from(Table::SuccessLog, b"").count()), ([None; 4], 0));
}

proptest! {
    #[test]
    fn a_row_of_successes_is_decoded_as_it_was_encoded(
        row in 0..1_000_u64,
        attempts in prop::collection::btree_map(
            0..SUCCESS_LOG_POSITIONS_PER_ROW,
            (any::<i64>(), any::<u32>(), prop::option::of(100..600_u16), "[a-c]{0,2}"),
            0..300,
        ),
    ) {
        let first = row * SUCCESS_LOG_POSITIONS_PER_ROW;
        let taken = SuccessLog(attempts.into_iter().map(|(offset, (at, micros, status, response))| {
            // Within some centuries of 1970, so that differences do not overflow.
            let at = at / 1_000;
            (first + offset, DeliveryAttempt { micros: micros.into(), ..attempt(at, status, &response) })
        }).collect());
        prop_assert_eq!(SuccessLog::decode(first, &taken.encode()), taken);
    }
}

#[test]
fn a_full_row_of_successes_fits_in_a_page() {
    let answer = r#"{"data":"","code":200,"message":"success"}"#;
    let at = |position| attempt(1_666_942_813_620_000 + position as i64 * 1_000, Some(200), answer);
    let taken = SuccessLog((0..SUCCESS_LOG_POSITIONS_PER_ROW).map(|position| (position, at(position))).collect());
    assert!(taken.encode().len() < 4_096, "{} bytes", taken.encode().len());
}
