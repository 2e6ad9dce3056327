//! Closing a channel without a receiver: drops its pending deliveries on an operator's command.

use std::collections::BTreeSet;

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::attempt_log::DeliveryState;
use super::channel_command::{ChannelCommand, ChannelStatus};
use super::management::validate_reason;
use super::{Error, ManagementError, Webhooks};
use crate::domain::{AccountNumber, AdministrativeEvent, Channel};
use crate::journal::RequesterIdentity;
use crate::limits::READ_RECORDS;

/// What closing a webhook drops, or would drop.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Closed)]
pub struct CloseSummary {
    /// The number of pending deliveries.
    deliveries: u64,
    /// The number of their accounts.
    accounts: u64,
    /// The number of events, of all kinds, that the webhook had not read.
    events: u64,
    /// Whether they were only counted.
    dry_run: bool,
}

impl Webhooks {
    /// Drops the cursor and all pending deliveries of a channel without a receiver. A receiver that is set afterwards
    /// gets only events that happen after the close. A dry run only counts. If there is nothing to drop, no event is
    /// recorded.
    pub async fn close(
        &self,
        channel: Channel,
        reason: Option<&str>,
        dry_run: bool,
        requester: RequesterIdentity,
    ) -> Result<CloseSummary, ManagementError> {
        let reason = match (dry_run, reason) {
            (true, _) => String::new(),
            (false, Some(reason)) => validate_reason(reason)?,
            (false, None) => {
                let words = "is missing; say why the pending deliveries are dropped".to_owned();
                return Err(ManagementError::InvalidField { field: "reason", words });
            }
        };
        let handle = self.channel(channel);
        // Locked, so that no receiver is set meanwhile.
        let _changing = handle.endpoint_lock.lock().await;
        let live = self.channel_status(channel).await?;
        if live.has_receiver && !dry_run {
            let words = format!(
                "{} has a receiver for its pending deliveries; remove the receiver first, then close the webhook",
                channel.short_name()
            );
            return Err(ManagementError::Conflict(words));
        }
        let webhooks = self.clone();
        let closed = spawn_blocking(move || webhooks.count_pending(channel, live)).await.map_err(Error::from)??;
        if dry_run {
            return Ok(CloseSummary { dry_run, ..closed });
        }
        if live.cursor.is_none() && closed.deliveries == 0 {
            return Ok(closed);
        }
        // The event is recorded first. If the service is killed before the drop, the deliveries still wait, and the
        // command can be repeated.
        let deliveries = closed.deliveries;
        self.append_administrative_event(AdministrativeEvent::WebhookClosed { channel, deliveries, reason }, requester)
            .await?;
        handle.send_command(|done| ChannelCommand::Close { done }).await?;
        tracing::warn!(
            channel = channel.short_name(),
            deliveries,
            "the webhook is closed, and its pending deliveries are dropped"
        );
        Ok(closed)
    }

    /// Counts pending deliveries: unsent ones, those that wait for a retry, and redeliveries.
    fn count_pending(&self, channel: Channel, live: ChannelStatus) -> Result<CloseSummary, ManagementError> {
        let (handle, journal) = (self.channel(channel), &self.inner.journal);
        let is_waiting = |account, position| -> Result<bool, ManagementError> {
            let (state, _) = handle.delivery_state(account, position, live)?;
            Ok(matches!(state, DeliveryState::Pending | DeliveryState::Waiting))
        };
        let mut accounts: BTreeSet<AccountNumber> = BTreeSet::new();
        let mut closed = CloseSummary::default();
        let unread = live.cursor.map(|cursor| cursor + 1);
        let first = live.counts.oldest.into_iter().chain(unread).min();
        let mut after = first.unwrap_or(u64::MAX).saturating_sub(1);
        loop {
            let records = journal.read_after(after, READ_RECORDS)?;
            for delivery in records.iter().filter_map(|record| handle.payloads.build_delivery(record).transpose()) {
                let delivery = delivery?;
                if is_waiting(delivery.account, delivery.position)? {
                    closed.deliveries += 1;
                    accounts.insert(delivery.account);
                }
            }
            let Some(last) = records.last() else { break };
            after = last.position;
        }
        for (account, position) in handle.store.redeliveries()? {
            let is_counted = first.is_some_and(|first| position >= first) && is_waiting(account, position)?;
            closed.deliveries += u64::from(!is_counted);
            accounts.insert(account);
        }
        closed.accounts = accounts.len() as u64;
        closed.events = live.cursor.map_or(0, |cursor| journal.head().saturating_sub(cursor));
        Ok(closed)
    }
}
