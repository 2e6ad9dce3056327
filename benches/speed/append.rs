//! Durable appends, beside the same blocks written to a plain file.

use std::fs::File;
use std::io::Write;

use muster::store::Store;

use crate::bench::Round;
use crate::cost::{self, Cost};
use crate::fixture;

pub fn round(appenders: u64, events: u64) -> Round {
    let directory = fixture::directory();
    let store = fixture::store(&directory);
    let journal = fixture::open_journal(store.clone());
    let events = events.max(appenders) / appenders * appenders;
    let subject = fixture::append(&journal, appenders, events);
    assert_eq!(journal.head(), events);
    Round { part: "", units: events, subject, floor: write_plainly(&store) }
}

/// Writes the store's blocks to a plain file, each synced before the next.
pub fn write_plainly(store: &Store) -> Cost {
    let blocks: Vec<_> = store.blocks_from(0).map(|block| block.unwrap().1).collect();
    let directory = fixture::directory();
    let mut file = File::create(directory.path().join("plain")).unwrap();
    cost::of(|| {
        for block in &blocks {
            file.write_all(block).unwrap();
            file.sync_data().unwrap();
        }
    })
}
