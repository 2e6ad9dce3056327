//! The state of the service in one response, and its settings.

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::master_key::MasterKeyView;
use super::webhooks::channel_views;
use super::{ApiState, Call, Problem, maintenance};
use crate::audit::{self, OnlineStatusCode, StatusCode, encode_hex};
use crate::config::SettingRow;
use crate::domain::{OnlineStatus, Status};
use crate::projections::AccountCounts;
use crate::webhooks::ChannelView;

/// The state of the service.
#[derive(Serialize, ToSchema)]
pub struct Overview {
    pub(crate) accounts: AccountCountsView,
    /// Registrations that wait for a code or its result.
    pub(crate) registering: usize,
    /// Accounts that dropped offline although callers want them online. They may come back.
    pub(crate) dropped: usize,
    pub(crate) journal: JournalView,
    /// The last signed checkpoint; null if there is none.
    #[schema(required)]
    pub(crate) checkpoint: Option<CheckpointView>,
    pub(crate) projections: ProjectionLagView,
    /// Both webhooks.
    pub(crate) webhooks: Vec<ChannelView>,
    pub(crate) vault: MasterKeyView,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountsCounted)]
pub(crate) struct AccountCountsView {
    /// The number of accounts.
    pub(crate) total: String,
    /// The number for each status with each online status.
    pub(crate) by_state: Vec<StateCountView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StateCounted)]
pub(crate) struct StateCountView {
    /// 1 normal, 2 banned.
    #[schema(value_type = StatusCode)]
    pub(crate) status: u8,
    /// 1 online-coming, 2 online, 3 offline-coming, 4 offline.
    #[schema(value_type = OnlineStatusCode)]
    pub(crate) online_status: u8,
    /// The number of accounts.
    pub(crate) accounts: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JournalState)]
pub(crate) struct JournalView {
    /// The position of the last event; `0` if there is none.
    pub(crate) position: String,
    /// The time of that event.
    #[schema(required, format = DateTime)]
    pub(crate) moved_at: Option<String>,
    /// The size on disk, with everything else in the store.
    pub(crate) bytes: u64,
}

/// The last signed checkpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = KeptCheckpoint)]
pub(crate) struct CheckpointView {
    /// The number of events in the log.
    pub(crate) size: String,
    /// The log's root, in hex.
    pub(crate) root: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProjectionsLag)]
pub(crate) struct ProjectionLagView {
    /// The number of events that the account list has not applied yet.
    pub(crate) lag: u64,
}

/// The settings in effect.
#[derive(Serialize, ToSchema)]
#[schema(as = SettingsInEffect)]
pub struct SettingsView {
    /// All settings.
    pub(crate) settings: Vec<SettingRow>,
}

/// Summarizes the state of the service.
pub async fn show_overview(call: &Call) -> Result<Overview, Problem> {
    call.read(async {
        let webhooks = channel_views(call.api().webhooks()?).await?;
        let vault = MasterKeyView::without_backups(&call.api().service()?.vault);
        let api = call.api().clone();
        let overview = spawn_blocking(move || Overview::read(&api, webhooks, vault));
        overview.await.map_err(|error| Problem::task_failed(&error))?
    })
    .await
}

/// Lists the settings in effect.
pub async fn list_settings(call: &Call) -> Result<SettingsView, Problem> {
    call.read(async { Ok(SettingsView { settings: call.api().service()?.settings.to_vec() }) }).await
}

impl Overview {
    /// Collects the figures. Blocking: reads the disk.
    fn read(api: &ApiState, webhooks: Vec<ChannelView>, vault: MasterKeyView) -> Result<Overview, Problem> {
        let (audit, journal, roster) = (api.audit(), api.audit().journal(), api.audit().roster());
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
                position: journal.event_id(head).to_string(),
                moved_at: maintenance::time_at_position(api, head)?,
                bytes: journal.store_bytes().map_err(audit::Error::from)?,
            },
            checkpoint: checkpoint
                .map(|saved| CheckpointView { size: saved.size.to_string(), root: encode_hex(&saved.root.0) }),
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
