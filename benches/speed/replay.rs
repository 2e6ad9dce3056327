//! Reading everything back, beside reading and hashing the same bytes.

use std::collections::HashMap;
use std::hint::black_box;

use muster::domain::{Account, AccountNumber};
use muster::journal::Journal;
use muster::limits::READ_RECORDS;
use muster::store::Store;
use sha2::{Digest, Sha256};

use crate::bench::RoundResult;
use crate::{cost, fixture};

pub fn round(events: u64) -> RoundResult {
    let appenders = 1_000.min(events);
    let directory = fixture::temp_directory();
    let store = fixture::store(&directory);
    let journal = fixture::open_journal(store.clone());
    fixture::append(&journal, appenders, events / appenders * appenders);
    replay_store(&journal, &store)
}

/// Decodes and folds all events of a journal.
pub fn replay_store(journal: &Journal, store: &Store) -> RoundResult {
    let events = journal.head();
    let mut accounts: HashMap<AccountNumber, Account> = HashMap::new();
    let subject = cost::measure(|| {
        let mut position = 0;
        while position < events {
            for record in journal.read_after(position, READ_RECORDS).unwrap() {
                position = record.position;
                let (account, event) = record.account_event().unwrap();
                accounts.entry(account).or_insert_with(Account::initial).evolve(event);
            }
        }
    });
    assert_eq!(accounts.values().map(|account| account.version).sum::<u64>(), events);
    RoundResult { part: "", units: events, subject, floor: cost::measure(|| hash_blocks(store)) }
}

/// Reads all blocks, and hashes each byte once.
pub fn hash_blocks(store: &Store) {
    for block in store.blocks_from(0) {
        black_box(Sha256::digest(&block.unwrap().1));
    }
}
