//! The metrics of a channel: how far it is behind, and what it waits for.

use tokio::task::spawn_blocking;

use super::channel_command::ChannelStatus;
use super::receiver_endpoint::ReceiverEndpoint;
use super::{Error, ManagementError, Webhooks, circuit_breaker};
use crate::domain::Channel;
use crate::metrics::{BreakerState, LaneState};

impl Webhooks {
    /// Updates the metrics of all channels.
    pub async fn update_metrics(&self) -> Result<(), ManagementError> {
        for channel in Channel::ALL {
            let live = self.channel_status(channel).await?;
            let (webhooks, endpoint) = (self.clone(), self.channel(channel).endpoint());
            let reporting = move || webhooks.report_channel_metrics(channel, &endpoint, live);
            spawn_blocking(reporting).await.map_err(Error::from)??;
        }
        Ok(())
    }

    fn report_channel_metrics(
        &self,
        channel: Channel,
        endpoint: &ReceiverEndpoint,
        live: ChannelStatus,
    ) -> Result<(), ManagementError> {
        let (handle, metrics) = (self.channel(channel), self.inner.journal.metrics());
        let (events, oldest) = self.backlog(handle, live)?;
        metrics.webhook_lag.with(channel).set(events);
        let age = oldest.map_or(0.0, |delivery| live.pending_age(delivery.at).as_secs_f64());
        metrics.webhook_lag_seconds.with(channel).set(age);
        let lanes = [
            (LaneState::Waiting, live.counts.waiting),
            (LaneState::Blocked, live.counts.blocked),
            (LaneState::Redelivery, live.counts.redelivering),
        ];
        for (state, count) in lanes {
            metrics.webhook_lanes.with((channel, state)).set(count);
        }
        metrics.webhook_in_flight.with(channel).set(live.in_flight as u64);
        metrics.dead_letters.with(channel).set(handle.store.count_dead_letters()?);
        metrics.webhook_receiver.with(channel).set(u64::from(live.has_receiver));
        metrics.webhook_paused.with(channel).set(u64::from(endpoint.paused.is_some()));
        let breaker = match live.breaker {
            circuit_breaker::CircuitState::Closed => BreakerState::Closed,
            circuit_breaker::CircuitState::Open { .. } => BreakerState::Open,
            circuit_breaker::CircuitState::Probing => BreakerState::Probing,
        };
        for state in BreakerState::ALL {
            metrics.webhook_breaker.with((channel, *state)).set(u64::from(*state == breaker));
        }
        Ok(())
    }
}
