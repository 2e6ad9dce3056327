//! Commands are fetched by a gateway that cannot be reached: it waits for work, and acknowledges what it has taken over.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::Bridge;
use super::line::Line;
use super::orders::{Order, Wish};
use super::protocol::{Ack, Acknowledged, Said, Work, WorkItem, json};
use super::push::refuse;
use super::queue::Given;
use crate::audit::write_time;
use crate::limits::WORK_WAITING;
use crate::metrics::BridgeCommand;

/// Why there is no answer to a request for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoWork {
    /// The settings have commands sent.
    #[error("commands are sent to gateway.bridge.url and cannot be fetched; unset it if the gateway is to fetch them")]
    Pushed,
    /// Too many wait.
    #[error("{WORK_WAITING} requests wait for work already; wait with one at a time")]
    Crowded,
}

/// Commands that are given out, and go back unless they are sent.
struct Handed<'l> {
    line: &'l Line,
    given: Vec<Given>,
}

impl Drop for Handed<'_> {
    fn drop(&mut self) {
        for given in &self.given {
            self.line.put_back(given.lease, Duration::ZERO);
        }
    }
}

impl Bridge {
    /// At most so many commands, as JSON: at once if there are any, else after `wait` at the latest, or once `stop` says so.
    /// Nothing is given out to whoever has gone.
    pub(crate) async fn work(
        &self,
        wait: Duration,
        most: usize,
        stop: &CancellationToken,
    ) -> Result<Zeroizing<Vec<u8>>, NoWork> {
        let inner = &self.inner;
        if inner.pusher.is_some() {
            return Err(NoWork::Pushed);
        }
        let _place = inner.waiting.try_acquire().map_err(|_| NoWork::Crowded)?;
        let give = || {
            let given = inner.line.give(most, |now, _| now.plus(inner.lease));
            (!given.is_empty()).then_some(Handed { line: &inner.line, given })
        };
        let waited = stop.run_until_cancelled(timeout(wait, inner.line.when(give)));
        let mut handed = waited.await.and_then(Result::ok).unwrap_or(Handed { line: &inner.line, given: Vec::new() });
        let mut refused = Vec::new();
        let opened: Vec<_> = handed
            .given
            .iter()
            .filter_map(|given| match given.order.open(&inner.vault) {
                Ok(opened) => Some((given, opened)),
                Err(error) => {
                    refused.push((given.lease, given.order.clone(), error.to_string()));
                    None
                }
            })
            .collect();
        let commands: Vec<_> = opened.iter().map(|(given, opened)| (*given, opened.command())).collect();
        let items = commands.iter().map(|(given, command)| WorkItem {
            lease: self.lease(given.lease),
            delivery: given.delivery,
            lease_until: write_time(given.until.wall),
            command,
        });
        let body = json(&Work { work: items.collect() });
        drop(commands);
        drop(opened);
        handed.given.clear();
        for (lease, order, why) in refused {
            self.refuse(lease, &order, &why).await;
        }
        Ok(body)
    }

    /// Takes acknowledgements.
    pub(crate) async fn acknowledge(&self, acks: Vec<Ack>) -> Acknowledged {
        let inner = &self.inner;
        let mut answer = Acknowledged { acknowledged: 0, unknown: Vec::new() };
        for Ack { lease, said } in acks {
            let number = self.lease_number(&lease);
            let leased = number.and_then(|number| Some((number, inner.line.leased(number)?)));
            let Some((number, order)) = leased else {
                answer.unknown.push(lease);
                continue;
            };
            answer.acknowledged += 1;
            match (said, &order.wish) {
                (Said::Refused(why), _) => self.refuse(number, &order, &why).await,
                (said, Wish::ListSessions { .. }) => {
                    let page = match said {
                        Said::Sessions(page) => Ok(page),
                        Said::Taken | Said::Refused(_) => {
                            Err("the gateway acknowledged list_sessions without its sessions".to_owned())
                        }
                    };
                    inner.line.settle(number, BridgeCommand::Acknowledged);
                    inner.waiters.answer(&order.id, page);
                }
                (
                    Said::Taken | Said::Sessions(_),
                    Wish::Connect { .. } | Wish::Disconnect { .. } | Wish::RequestCode { .. } | Wish::SubmitCode { .. },
                ) => {
                    inner.line.settle(number, BridgeCommand::Acknowledged);
                }
            }
        }
        answer
    }

    /// A command is refused for good.
    async fn refuse(&self, lease: u64, order: &Order, why: &str) {
        let inner = &self.inner;
        inner.waiters.answer(&order.id, Err(why.to_owned()));
        refuse(&inner.reports, order, why).await;
        inner.line.settle(lease, BridgeCommand::Refused);
    }

    /// A lease as it is sent.
    fn lease(&self, number: u64) -> String {
        format!("{:016x}-{number}", self.inner.life)
    }

    fn lease_number(&self, lease: &str) -> Option<u64> {
        let (life, number) = lease.split_once('-')?;
        (u64::from_str_radix(life, 16) == Ok(self.inner.life)).then(|| number.parse().ok())?
    }
}
