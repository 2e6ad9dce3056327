//! How everything is, in one answer; and the settings that it works with.

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use warp::reply::Response;

use super::parameters::Parameters;
use super::problem::Problem;
use super::streams::json;
use super::webhooks::channels;
use super::{Desk, upkeep};
use crate::audit::{self, hex};
use crate::config::Row;
use crate::domain::{OnlineStatus, Status};
use crate::http::requests::Query;
use crate::projections::Counts;
use crate::vault::Standing;
use crate::webhooks::Shown;

/// How everything is.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Overview {
    accounts: AccountsView,
    /// Registrations that wait.
    registering: usize,
    /// Accounts that are offline against their callers' wish, and may come back.
    dropped: usize,
    journal: JournalView,
    /// The checkpoint that was signed last; null if none was.
    #[schema(required)]
    checkpoint: Option<CheckpointView>,
    projections: ProjectionsView,
    /// Both webhooks.
    webhooks: [Shown; 2],
    vault: Standing,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountsCounted)]
struct AccountsView {
    /// How many there are.
    total: String,
    /// Each status with each online status.
    by_state: Vec<StateView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StateCounted)]
struct StateView {
    /// 1 normal, 2 banned.
    #[schema(minimum = 1, maximum = 2)]
    status: u8,
    /// 1 online-coming, 2 online, 3 offline-coming, 4 offline.
    #[schema(minimum = 1, maximum = 4)]
    online_status: u8,
    /// How many accounts stand so.
    accounts: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JournalState)]
struct JournalView {
    /// The position of the last event; `0` if there is none.
    position: String,
    /// When that happened.
    #[schema(required, format = DateTime)]
    moved_at: Option<String>,
    /// On the disk, with all else that is in the store.
    bytes: u64,
}

/// The checkpoint that was signed last.
#[derive(Serialize, ToSchema)]
#[schema(as = KeptCheckpoint)]
struct CheckpointView {
    /// How many events the log had.
    size: String,
    /// Its root then, in hex.
    root: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProjectionsLag)]
struct ProjectionsView {
    /// Events that the account list has not followed yet.
    lag: u64,
}

/// The settings that the service works with.
#[derive(Serialize, ToSchema)]
#[schema(as = SettingsInEffect)]
pub(in crate::http) struct Settings {
    /// All of them.
    settings: Vec<Row>,
}

/// `GET /overview`
pub(super) async fn overview(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let (webhooks, vault) = (channels(desk.webhooks()?).await?, desk.running()?.vault.standing());
    let reading = desk.clone();
    let overview = spawn_blocking(move || Overview::of(&reading, webhooks, vault));
    Ok(json(&overview.await.map_err(|error| Problem::work(&error))??))
}

/// `GET /settings`
pub(super) fn settings(desk: &Desk, query: &Query) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    Ok(json(&Settings { settings: desk.running()?.settings.to_vec() }))
}

impl Overview {
    /// Reads memory and the disk.
    fn of(desk: &Desk, webhooks: [Shown; 2], vault: Standing) -> Result<Overview, Problem> {
        let (audit, journal, roster) = (desk.audit(), desk.audit().journal(), desk.audit().roster());
        let (registering, dropped) = roster.outstanding();
        let (position, head) = (roster.position(), journal.head());
        let checkpoint = audit.kept_checkpoint()?;
        Ok(Overview {
            webhooks,
            vault,
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
