//! Reading everything back, beside reading and hashing the same bytes.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use muster::domain::{Account, AccountNumber};
use muster::journal::Journal;
use muster::limits::READ_RECORDS;
use sha2::{Digest, Sha256};

use crate::{Round, house};

pub fn round(events: u64) -> Round {
    let appenders = 1_000.min(events);
    let events = events / appenders * appenders;
    let directory = house::directory();
    let store = house::store(&directory);
    let journal = Journal::open(store.clone(), Box::new(|_| {})).unwrap();
    house::append(&journal, appenders, events);

    let begin = Instant::now();
    let mut accounts: HashMap<AccountNumber, Account> = HashMap::new();
    let mut position = 0;
    while position < events {
        for record in journal.read_after(position, READ_RECORDS).unwrap() {
            position = record.position;
            let (account, event) = record.event().unwrap();
            accounts.entry(account).or_insert_with(Account::initial).evolve(event);
        }
    }
    let subject = begin.elapsed();
    assert_eq!(accounts.values().map(|account| account.version).sum::<u64>(), events);

    let begin = Instant::now();
    for block in store.blocks_from(0) {
        black_box(Sha256::digest(&block.unwrap().1));
    }
    Round { units: events, subject, floor: begin.elapsed() }
}
