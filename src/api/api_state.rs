//! The state that all calls share, and the limits on costly calls.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::maintenance::RebuildState;
use super::{Problem, StreamPermit};
use crate::access::Authenticator;
use crate::actors::Accounts;
use crate::audit::Audit;
use crate::config;
use crate::domain::{AdministrativeEvent, AuditLogEntry, GatewayKind};
use crate::gateway::GatewayRegistry;
use crate::idempotency::IdempotencyRecords;
use crate::journal::RequesterIdentity;
use crate::limits::{LIVE_TAIL_READERS, STREAMED_RESPONSES};
use crate::projections::Roster;
use crate::vault::Vault;
use crate::webhooks::Webhooks;
use crate::{clock, journal};

/// The state that all calls share. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    inner: Arc<ApiStateInner>,
}

struct ApiStateInner {
    audit: Audit,
    /// `None` without a running service.
    webhooks: Option<Webhooks>,
    /// `None` without a running service.
    service: Option<ServiceHandles>,
    authenticator: Authenticator,
    /// Limits concurrent readers of the live tail.
    live_reader_permits: Arc<Semaphore>,
    /// Limits concurrent streamed responses.
    stream_permits: Arc<Semaphore>,
    /// Allows one reader of the whole journal at a time.
    full_scan_permit: Arc<Semaphore>,
    rebuild: RebuildState,
    request_timeout: Duration,
    /// Ends the endless streams when the service stops.
    stop: CancellationToken,
}

/// The parts that exist only in a running service, except the webhooks. Cheap to clone.
#[derive(Clone)]
pub struct ServiceHandles {
    /// Executes commands on accounts.
    pub accounts: Accounts,
    /// The account list.
    pub roster: Roster,
    /// The settings of accounts.
    pub rules: config::AccountSettings,
    /// Seals secrets.
    pub vault: Vault,
    /// The stored responses to requests with an `Idempotency-Key`.
    pub idempotency: IdempotencyRecords,
    /// The gateways.
    pub gateways: GatewayRegistry,
    /// The gateway of accounts that match no routing rule.
    pub default_gateway: GatewayKind,
    /// All settings in effect, as displayed.
    pub settings: Arc<[config::SettingRow]>,
}

impl ApiState {
    /// Creates the state. `webhooks` and `service` are `None` without a running service. `stop` ends endless streams.
    pub fn new(
        audit: Audit,
        webhooks: Option<Webhooks>,
        service: Option<ServiceHandles>,
        authenticator: Authenticator,
        request_timeout: Duration,
        stop: CancellationToken,
    ) -> ApiState {
        let permits = |count| Arc::new(Semaphore::new(count));
        ApiState {
            inner: Arc::new(ApiStateInner {
                audit,
                webhooks,
                service,
                authenticator,
                live_reader_permits: permits(LIVE_TAIL_READERS),
                stream_permits: permits(STREAMED_RESPONSES),
                full_scan_permit: permits(1),
                rebuild: RebuildState::default(),
                request_timeout,
                stop,
            }),
        }
    }

    /// Authenticates requesters.
    pub fn authenticator(&self) -> &Authenticator {
        &self.inner.authenticator
    }

    /// The longest time from the request head to the response head. It applies to operations with a time limit.
    pub fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    /// Ends the endless streams when the service stops.
    pub fn stop(&self) -> &CancellationToken {
        &self.inner.stop
    }

    /// Views and proofs of the journal.
    pub fn audit(&self) -> &Audit {
        &self.inner.audit
    }

    /// The webhooks. Fails without a running service.
    pub fn webhooks(&self) -> Result<&Webhooks, Problem> {
        let detail = "only a running service sends webhooks, and none is running here; name one with --server";
        self.inner.webhooks.as_ref().ok_or_else(|| Problem::conflict(detail))
    }

    /// The parts that exist only in a running service. Fails without one.
    pub fn service(&self) -> Result<&ServiceHandles, Problem> {
        let detail = "only a running service does this, and none is running here; name one with --server";
        self.inner.service.as_ref().ok_or_else(|| Problem::conflict(detail))
    }

    pub(super) fn rebuild(&self) -> &RebuildState {
        &self.inner.rebuild
    }

    /// Takes the permit for one streamed response. Fails if all permits are in use.
    pub(crate) fn acquire_stream_permit(&self) -> Result<StreamPermit, Problem> {
        let detail = format!(
            "{STREAMED_RESPONSES} exports, backups and histories are being sent, which is the limit; try again later"
        );
        try_acquire(&self.inner.stream_permits).map(StreamPermit::new).ok_or_else(|| Problem::unavailable(detail))
    }

    /// Takes the permit for one reader of the live tail. Fails if all permits are in use.
    pub(super) fn acquire_live_reader(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let detail = format!("{LIVE_TAIL_READERS} clients follow the live tail, which is the limit; try again later");
        try_acquire(&self.inner.live_reader_permits).ok_or_else(|| Problem::unavailable(detail))
    }

    /// Takes the permit for a scan of the whole journal. There is only one, because a scan keeps the disk and a core busy.
    pub(super) fn acquire_full_scan(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let detail = "the whole journal is being read for another request; try again when that is finished";
        try_acquire(&self.inner.full_scan_permit).ok_or_else(|| Problem::conflict(detail))
    }

    /// Records an administrative event in the audit log.
    pub(super) async fn record(
        &self,
        event: AdministrativeEvent,
        requester: RequesterIdentity,
    ) -> Result<(), journal::Error> {
        let RequesterIdentity { origin, from } = requester;
        let entry = AuditLogEntry { event, source: from };
        self.audit().journal().append_administrative_event(entry, origin, clock::now()).await?;
        Ok(())
    }
}

fn try_acquire(permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    permits.clone().try_acquire_owned().ok()
}
