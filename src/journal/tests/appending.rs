//! Conflicts, limits, and many appenders at once.

use std::collections::HashMap;

use super::*;
use crate::domain::{AccountEventType, EventType};
use crate::limits::{BLOCK_BYTES, BLOCK_RECORDS, PAYLOAD_BYTES};

#[tokio::test]
async fn a_stale_version_conflicts_and_appends_nothing() {
    let fixture = JournalFixture::new();
    fixture
        .append(
            1,
            0,
            &[Event::OnlineRequested { reason: Reason::none() }, Event::RecycleRequested { reason: Reason::none() }],
        )
        .await
        .unwrap();
    for stale in [0, 1, 3, u64::MAX] {
        let refused = fixture.append(1, stale, &[Event::BanLifted]).await.unwrap_err();
        assert!(matches!(refused, Error::Conflict { expected, actual: 2, .. } if expected == stale), "{refused}");
    }
    assert_eq!(fixture.journal.head(), 2);
    assert_eq!(fixture.append(1, 2, &[Event::BanLifted]).await.unwrap()[0].position, 3, "a refusal takes no position");
    assert_eq!(fixture.append(2, 0, &[Event::BanLifted]).await.unwrap()[0].previous, 0);
}

#[tokio::test]
async fn an_append_without_events_is_answered() {
    let fixture = JournalFixture::new();
    assert_eq!(fixture.append(1, 0, &[]).await.unwrap(), vec![]);
    assert_eq!(fixture.journal.head(), 0);
}

/// Every accepted payload can be read again, up to the limit. A larger payload is rejected, and other appends are not
/// affected.
#[tokio::test]
async fn the_largest_payload_is_readable_and_a_larger_one_is_refused() {
    let fixture = JournalFixture::new();
    let imported = |secret_bytes| Event::AccountImported { content: content(secret_bytes), reason: Reason::none() };
    let around = event_codec::encode(&JournalEvent::Account(imported(PAYLOAD_BYTES))).2.len() - PAYLOAD_BYTES;
    let largest = imported(PAYLOAD_BYTES - around);
    fixture.append(1, 0, std::slice::from_ref(&largest)).await.unwrap();
    for (events, what) in [
        (vec![imported(PAYLOAD_BYTES - around + 1)], "a payload over its limit"),
        (vec![imported(BLOCK_BYTES)], "an event over a block"),
        (vec![largest.clone(), largest.clone()], "events that fit no block together"),
        (vec![Event::CodeSent; BLOCK_RECORDS + 1], "more events than a block has"),
    ] {
        let refused = fixture.append(1, 1, &events).await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{what}: {refused:?}");
    }
    fixture.append(1, 1, &vec![Event::CodeSent; BLOCK_RECORDS]).await.unwrap();
    assert_eq!(fixture.journal.read_at(1).unwrap().unwrap().event, JournalEvent::Account(largest));
    assert_eq!(fixture.journal.verify().unwrap().events, 1 + BLOCK_RECORDS as u64);
}

/// Four appenders compete for each of eight accounts. After a conflict an appender loads the head and tries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appenders_make_one_gapless_order() {
    let (accounts, appenders, each) = (8, 4, 25);
    let fixture = JournalFixture::new();
    let appenders: Vec<_> = (0..accounts * appenders)
        .map(|number| tokio::spawn(append_contended(fixture.journal.clone(), number % accounts, each)))
        .collect();
    let mut answered = Vec::new();
    for appender in appenders {
        answered.extend(appender.await.unwrap());
    }
    let all = fixture.all();
    assert_eq!(all.len(), answered.len());
    assert_eq!(all.len() as u64, fixture.journal.head());

    let mut heads: HashMap<StreamId, StreamHead> = HashMap::new();
    for (record, position) in all.iter().zip(1..) {
        let head = heads.entry(record.stream).or_default();
        assert_eq!((record.position, record.version, record.previous), (position, head.version + 1, head.position));
        *head = StreamHead { position, version: record.version };
    }
    assert!(heads.iter().all(|(stream, head)| fixture.journal.stream_head(*stream) == *head));
    answered.sort_by_key(|record| record.position);
    assert_eq!(answered, all, "each appender was told what is there");
    assert_eq!(fixture.commits.try_iter().flatten().collect::<Vec<_>>(), all, "commits were seen in order, each once");
    let report = fixture.journal.verify().unwrap();
    assert_eq!((report.events, report.accounts, report.root), (all.len() as u64, 8, fixture.journal.root().1));
}

/// Each event is counted under its type.
#[tokio::test]
async fn what_is_appended_is_counted() {
    let fixture = JournalFixture::new();
    fixture.append(1, 0, &[Event::CodeSent, Event::CodeSent]).await.unwrap();
    fixture.append(1, 2, &[Event::Registered]).await.unwrap();
    fixture.append(1, 2, &[Event::Registered]).await.unwrap_err();
    let events = |event_type| fixture.journal.metrics().events.with(EventType::Account(event_type)).get();
    assert_eq!((events(AccountEventType::CodeSent), events(AccountEventType::Registered)), (2, 1));
}

/// Appends one or two events `times` times, in competition with others.
async fn append_contended(journal: Journal, number: u64, times: usize) -> Vec<JournalRecord> {
    let mut answered: Vec<JournalRecord> = Vec::new();
    for time in 0..times {
        let events = vec![Event::CodeSent; 1 + time % 2];
        let mut expected = journal.stream_head(account_stream(number)).version;
        let records = loop {
            match journal.append(append(number, expected, &events)).await {
                Ok(records) => break records,
                Err(Error::Conflict { actual, .. }) => expected = actual,
                Err(error) => panic!("{error}"),
            }
        };
        let position = records.last().unwrap().position;
        assert!(journal.head() >= position, "what is answered is durable");
        assert!(answered.last().is_none_or(|earlier| earlier.position < position), "answers come in order");
        answered.extend(records);
    }
    answered
}
