//! The deliveries that the journal requires, and whether they arrived.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use muster::domain::{AccountNumber, Notification};
use muster::journal::JournalRecord;
use serde_json::{Value, json};

use super::UNREGISTERED;
use super::faulty_receiver::ReceivedAttempt;
use crate::service_process::{WebhookReceiver, read_all_records};
use crate::testkit::fixture::{open_journal, open_store};

pub fn read_journal(data: &Path) -> Vec<JournalRecord> {
    let journal = open_journal(open_store(data));
    journal.verify().unwrap();
    read_all_records(&journal)
}

/// Deliveries match the journal: each event at least once, an account's in order, each under one id and with the same
/// body. Returns the number of events.
pub fn check_deliveries(records: &[JournalRecord], received: &[ReceivedAttempt]) -> usize {
    let mut stories: BTreeMap<AccountNumber, Vec<(u64, String)>> = BTreeMap::new();
    for (account, version, body) in records.iter().filter_map(body_of) {
        stories.entry(account).or_default().push((version, body));
    }
    let mut places: HashMap<&str, (AccountNumber, u64)> = HashMap::new();
    let mut ids: HashMap<(AccountNumber, u64), &str> = HashMap::new();
    let mut accepted: BTreeMap<AccountNumber, Vec<(u64, String)>> = BTreeMap::new();
    for ReceivedAttempt { id, version, body, was_accepted, .. } in received {
        let payload: Value = serde_json::from_str(body).unwrap();
        let account = payload["whatsApp"].as_str().unwrap().parse::<u64>().unwrap();
        let account = AccountNumber::from_stored(account).unwrap();
        let place = (account, *version);
        assert_eq!(*places.entry(id).or_insert(place), place, "an id of two events");
        assert_eq!(*ids.entry(place).or_insert(id), id, "an event of two ids");
        let story = &stories[&account];
        let event = (*version, body.clone());
        assert!(story.contains(&event), "{id} told {event:?} of {account}, which did not happen");
        let heard = accepted.entry(account).or_default();
        // A repeated event changes nothing; a new one must be the next.
        if !heard.contains(&event) {
            assert_eq!(story[heard.len()], event, "{id}: out of order for {account}, which was told {heard:?}");
            if *was_accepted {
                heard.push(event);
            }
        }
    }
    for (account, story) in &stories {
        let heard = accepted.get(account).map_or(0, Vec::len);
        assert_eq!(heard, story.len(), "of {account} was never told: {:?}", &story[heard..]);
    }
    stories.values().map(Vec::len).sum()
}

/// The delivery of a record on this channel: account, version, body. `None` for administrative events and for the other
/// channel's.
fn body_of(record: &JournalRecord) -> Option<(AccountNumber, u64, String)> {
    let (account, event) = record.account_event()?;
    let Notification::Status { status, online_status, reason, instance_code } = Notification::for_event(event)? else {
        return None;
    };
    let body = json!({"whatsApp": account.to_string(), "status": status.code(), "onlineStatus": online_status.code(),
        "reason": reason, "instanceCode": instance_code});
    Some((account, record.version, body.to_string()))
}

/// Attempts of one delivery are numbered in order. A number may repeat after a kill, and once where a kept connection
/// was closed before any response. Every attempt that operators see as accepted was accepted under that number.
pub fn check_attempts(received: &[ReceivedAttempt], seen: &HashSet<(String, u64)>) {
    let mut last: HashMap<(&str, usize), (u64, usize)> = HashMap::new();
    let mut taken: HashSet<(&str, u64)> = HashSet::new();
    for ReceivedAttempt { id, attempt, life, was_accepted, .. } in received {
        let (before, times) = last.get(&(&**id, *life)).copied().unwrap_or((0, 0));
        let is_sent_again = before == *attempt && times == 1;
        assert!(
            before < *attempt || is_sent_again,
            "{id}: attempt {attempt} came after attempt {before} of the same life"
        );
        last.insert((id, *life), (*attempt, if is_sent_again { 2 } else { 1 }));
        if *was_accepted {
            taken.insert((id, *attempt));
        }
    }
    let never: Vec<_> = seen.iter().filter(|(id, attempt)| !taken.contains(&(id.as_str(), *attempt))).collect();
    assert!(never.is_empty(), "operators see as taken what the receiver never took: {never:?}");
}

/// The other channel is not affected: it delivers each account's outcomes in order. Returns their number.
pub fn check_registrations(records: &[JournalRecord], register: &WebhookReceiver) -> usize {
    let mut outcomes: BTreeMap<AccountNumber, Vec<String>> = BTreeMap::new();
    for (account, event) in records.iter().filter_map(JournalRecord::account_event) {
        if let Some(Notification::Registration { successful, .. }) = Notification::for_event(event) {
            outcomes.entry(account).or_default().push(format!("register {}", u8::from(successful)));
        }
    }
    for (account, outcomes) in &outcomes {
        assert_eq!(register.accepted_payloads(&account.to_string()), *outcomes, "of {account}");
    }
    assert!(outcomes.len() > UNREGISTERED.len(), "the callers registered nothing");
    outcomes.values().map(Vec::len).sum()
}
