//! How everything is, in one answer; and the settings that it works with.

use serde::Serialize;
use tokio::task::spawn_blocking;
use warp::reply::Response;

use super::parameters::Parameters;
use super::problem::Problem;
use super::streams::json;
use super::webhooks::channels;
use super::{Desk, upkeep};
use crate::audit::{self, hex};
use crate::domain::{OnlineStatus, Status};
use crate::http::requests::Query;
use crate::projections::Counts;
use crate::vault::Standing;
use crate::webhooks::Shown;

#[derive(Serialize)]
struct Overview {
    #[serde(flatten)]
    read: Read,
    webhooks: [Shown; 2],
    vault: Standing,
}

/// What is read from memory and the disk.
#[derive(Serialize)]
struct Read {
    accounts: AccountsView,
    /// Registrations that wait.
    registering: usize,
    /// Accounts that are offline against their callers' wish, and may come back.
    dropped: usize,
    journal: JournalView,
    checkpoint: Option<CheckpointView>,
    projections: ProjectionsView,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountsView {
    total: String,
    by_state: Vec<StateView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateView {
    status: u8,
    online_status: u8,
    accounts: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JournalView {
    position: String,
    moved_at: Option<String>,
    /// On the disk, with all else that is in the store.
    bytes: u64,
}

/// The checkpoint that was signed last.
#[derive(Serialize)]
struct CheckpointView {
    size: String,
    root: String,
}

#[derive(Serialize)]
struct ProjectionsView {
    /// Events that the account list has not followed yet.
    lag: u64,
}

/// `GET /overview`
pub(super) async fn overview(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let (webhooks, vault) = (desk.webhooks()?, desk.running()?.vault.standing());
    let reading = desk.clone();
    let read = spawn_blocking(move || Read::of(&reading)).await.map_err(|error| Problem::work(&error))??;
    Ok(json(&Overview { read, webhooks: channels(webhooks).await?, vault }))
}

/// `GET /settings`
pub(super) fn settings(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    Ok(json(&serde_json::json!({"settings": *desk.running()?.settings})))
}

impl Read {
    fn of(desk: &Desk) -> Result<Read, Problem> {
        let (audit, journal, roster) = (desk.audit(), desk.audit().journal(), desk.audit().roster());
        let (registering, dropped) = roster.outstanding();
        let (position, head) = (roster.position(), journal.head());
        let checkpoint = audit.kept_checkpoint()?;
        Ok(Read {
            accounts: AccountsView::of(&roster.counts()),
            registering,
            dropped,
            journal: JournalView {
                position: head.to_string(),
                moved_at: upkeep::moved_at(desk, head)?,
                bytes: journal.store_bytes().map_err(audit::Error::from)?,
            },
            checkpoint: checkpoint.map(|kept| CheckpointView { size: kept.size.to_string(), root: hex(&kept.root.0) }),
            projections: ProjectionsView { lag: head.saturating_sub(position) },
        })
    }
}

impl AccountsView {
    fn of(counts: &Counts) -> AccountsView {
        let state = |(status, online_status, accounts): (Status, OnlineStatus, u64)| StateView {
            status: status.code(),
            online_status: online_status.code(),
            accounts,
        };
        AccountsView { total: counts.total().to_string(), by_state: counts.by_state().map(state).collect() }
    }
}
