//! What is measured of a channel: how far it is behind, and what it waits for.

use tokio::task::spawn_blocking;

use super::endpoint::Endpoint;
use super::order::Live;
use super::{Error, Refused, Webhooks, breaker};
use crate::domain::Channel;
use crate::metrics::{BreakerState, LaneState};

impl Webhooks {
    /// Reports how the channels are.
    pub async fn report(&self) -> Result<(), Refused> {
        for channel in Channel::ALL {
            let live = self.look(channel).await?;
            let (webhooks, endpoint) = (self.clone(), self.desk(channel).endpoint());
            let reporting = move || webhooks.report_channel(channel, &endpoint, live);
            spawn_blocking(reporting).await.map_err(Error::from)??;
        }
        Ok(())
    }

    fn report_channel(&self, channel: Channel, endpoint: &Endpoint, live: Live) -> Result<(), Refused> {
        let (desk, metrics) = (self.desk(channel), self.inner.journal.metrics());
        let (events, oldest) = self.behind(desk, live)?;
        metrics.webhook_lag.at(channel).set(events);
        let age = oldest.map_or(0.0, |delivery| live.age(delivery.at).as_secs_f64());
        metrics.webhook_lag_seconds.at(channel).set(age);
        let lanes = [
            (LaneState::Waiting, live.counts.waiting),
            (LaneState::Blocked, live.counts.blocked),
            (LaneState::Again, live.counts.again),
        ];
        for (state, count) in lanes {
            metrics.webhook_lanes.at((channel, state)).set(count);
        }
        metrics.webhook_in_flight.at(channel).set(live.in_flight as u64);
        metrics.webhook_letters.at(channel).set(desk.book.count_letters()?);
        metrics.webhook_receiver.at(channel).set(u64::from(live.has_receiver));
        metrics.webhook_paused.at(channel).set(u64::from(endpoint.paused.is_some()));
        let breaker = match live.breaker {
            breaker::State::Closed => BreakerState::Closed,
            breaker::State::Open { .. } => BreakerState::Open,
            breaker::State::Probing => BreakerState::Probing,
        };
        for state in BreakerState::ALL {
            metrics.webhook_breaker.at((channel, *state)).set(u64::from(*state == breaker));
        }
        Ok(())
    }
}
