//! Fuzz target: the roster's checkpoint.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::roster_checkpoint::{RosterCheckpoint, label_bytes};
use super::roster_rows::RosterRow;
use super::roster_state::{LabelHistory, RosterState};
use crate::domain::{AccountNumber, Labels, OnlineStatus, Status};
use crate::store::StoreId;

const STORE: StoreId = StoreId(7);

pub(crate) fn rosters() -> Vec<Vec<u8>> {
    let encode_roster = |accounts: u64| {
        let mut state = RosterState::default();
        state.progress.position = accounts;
        for number in 0..accounts {
            let account = AccountNumber::from_stored(8_618_000 + number * 997).unwrap();
            state.rows.upsert(RosterRow { account, status: Status::Normal, online_status: OnlineStatus::Online });
            if number % 3 == 0 {
                state.registering.insert(account);
                state.dropped.insert(account);
                let labels = Labels::new([("team", "care"), ("tier", "")]).unwrap();
                state.labels.insert(account, LabelHistory { labels, first_version: 2, version: number + 2 });
            }
        }
        RosterCheckpoint::of(&state).encode(STORE)
    };
    [0, 1, 9, 200].map(encode_roster).into()
}

/// Checks that a decoded checkpoint is encoded with the same rows and decoded again to the same state. Its list must be JSON.
pub(crate) fn roster(bytes: &[u8]) -> Option<String> {
    let state = RosterCheckpoint::decode(bytes, STORE)?;
    let back = RosterCheckpoint::of(&state).encode(STORE);
    let [rows, other_rows] = [bytes, &back[..]].map(|bytes| {
        let end = bytes.len() - label_bytes(bytes).unwrap();
        &bytes[end - 8 * state.rows.len()..end]
    });
    assert_eq!(rows, other_rows, "other rows");
    let again = RosterCheckpoint::decode(&back, STORE).unwrap();
    assert!(again.differences(&state).is_empty() && again.rows.len() == state.rows.len());
    assert_eq!((again.registering, again.dropped), (state.registering, state.dropped));
    let text: Vec<u8> = state.rows.chunks().iter().flat_map(|chunk| chunk.text().to_vec()).collect();
    let list: Vec<serde_json::Value> = serde_json::from_slice(&[b"[", &text[..], b"]"].concat()).unwrap();
    assert_eq!(list.len(), state.rows.len());
    None
}
