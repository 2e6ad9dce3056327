//! Durable appends, beside the same blocks written to a plain file.

use std::fs::File;
use std::io::Write;

use muster::store::Store;

use crate::bench::RoundResult;
use crate::cost::{self, Cost};
use crate::fixture;

pub fn round(appenders: u64, events: u64) -> RoundResult {
    let directory = fixture::temp_directory();
    let store = fixture::store(&directory);
    let journal = fixture::open_journal(store.clone());
    let events = events.max(appenders) / appenders * appenders;
    let subject = fixture::append(&journal, appenders, events);
    assert_eq!(journal.head(), events);
    RoundResult { part: "", units: events, subject, floor: write_floor(&store) }
}

/// Writes the store's blocks to a plain file, each synced before the next.
pub fn write_floor(store: &Store) -> Cost {
    let blocks: Vec<_> = store.blocks_from(0).map(|block| block.unwrap().1).collect();
    let directory = fixture::temp_directory();
    let mut file = File::create(directory.path().join("plain")).unwrap();
    cost::measure(|| {
        for block in &blocks {
            file.write_all(block).unwrap();
            file.sync_data().unwrap();
        }
    })
}
