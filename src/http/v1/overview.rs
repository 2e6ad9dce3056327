//! The state of the service in one response, and its settings.

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use warp::reply::Response;

use super::problem::Problem;
use super::query_parameters::QueryParameters;
use super::response_body::json_response;
use super::webhooks::show_channels;
use super::{ApiState, maintenance};
use crate::audit::{self, encode_hex};
use crate::config::SettingRow;
use crate::domain::{OnlineStatus, Status};
use crate::http::contract_requests::Query;
use crate::projections::AccountCounts;
use crate::vault::MasterKeyStatus;
use crate::webhooks::ChannelView;

/// How everything is.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Overview {
    accounts: AccountCountsView,
    /// Registrations that wait.
    registering: usize,
    /// Accounts that are offline against their callers' wish, and may come back.
    dropped: usize,
    journal: JournalView,
    /// The checkpoint that was signed last; null if none was.
    #[schema(required)]
    checkpoint: Option<CheckpointView>,
    projections: ProjectionLagView,
    /// Both webhooks.
    webhooks: [ChannelView; 2],
    vault: MasterKeyStatus,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountsCounted)]
struct AccountCountsView {
    /// How many there are.
    total: String,
    /// Each status with each online status.
    by_state: Vec<StateCountView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StateCounted)]
struct StateCountView {
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
struct ProjectionLagView {
    /// Events that the account list has not followed yet.
    lag: u64,
}

/// The settings that the service works with.
#[derive(Serialize, ToSchema)]
#[schema(as = SettingsInEffect)]
pub(in crate::http) struct SettingsView {
    /// All of them.
    settings: Vec<SettingRow>,
}

/// `GET /overview`
pub(super) async fn show_overview(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    let (webhooks, vault) = (show_channels(state.webhooks()?).await?, state.service()?.vault.master_key_status());
    let reading = state.clone();
    let overview = spawn_blocking(move || Overview::read(&reading, webhooks, vault));
    Ok(json_response(&overview.await.map_err(|error| Problem::task_failed(&error))??))
}

/// `GET /settings`
pub(super) fn list_settings(state: &ApiState, query: &Query) -> Result<Response, Problem> {
    QueryParameters::new(query, &[])?;
    Ok(json_response(&SettingsView { settings: state.service()?.settings.to_vec() }))
}

impl Overview {
    /// Collects the figures. Blocking: reads the disk.
    fn read(state: &ApiState, webhooks: [ChannelView; 2], vault: MasterKeyStatus) -> Result<Overview, Problem> {
        let (audit, journal, roster) = (state.audit(), state.audit().journal(), state.audit().roster());
        let (registering, dropped) = roster.pending_counts();
        let (position, head) = (roster.position(), journal.head());
        let checkpoint = audit.saved_checkpoint()?;
        Ok(Overview {
            webhooks,
            vault,
            accounts: AccountCountsView::from_counts(&roster.counts()),
            registering,
            dropped,
            journal: JournalView {
                position: head.to_string(),
                moved_at: maintenance::time_at_position(state, head)?,
                bytes: journal.store_bytes().map_err(audit::Error::from)?,
            },
            checkpoint: checkpoint
                .map(|kept| CheckpointView { size: kept.size.to_string(), root: encode_hex(&kept.root.0) }),
            projections: ProjectionLagView { lag: head.saturating_sub(position) },
        })
    }
}

impl AccountCountsView {
    fn from_counts(counts: &AccountCounts) -> AccountCountsView {
        let state = |(status, online_status, accounts): (Status, OnlineStatus, u64)| StateCountView {
            status: status.code(),
            online_status: online_status.code(),
            accounts,
        };
        AccountCountsView { total: counts.total().to_string(), by_state: counts.by_state().map(state).collect() }
    }
}
