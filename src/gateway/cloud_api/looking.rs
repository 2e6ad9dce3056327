//! Looks at all numbers: what sessions there are, and what follows from a webhook of Meta's.
//!
//! A webhook is answered with success once what follows from it is durable: the numbers were looked at, and what was seen
//! is settled with their accounts. Where that takes longer than Meta waits, it is told to send the webhook again, and the
//! look goes on. So Meta's own queue is what a crash cannot lose, and the comparison of sessions that runs from time to
//! time finds what Meta forgets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use super::Inner;
use super::answer::Number;
use super::brake::Wish;
use super::failure::Failure;
use super::hook::{self, Heard, Key, Unsigned, Update};
use super::registering::standing;
use super::table::{Standing, Verdict};
use crate::domain::{AccountNumber, Command, GatewayKind, OnlineStatus, Reason, Report, Status};
use crate::gateway::way::{Seen, SeenState};
use crate::limits::{GRAPH_LOOKS_BY_LIST, META_LOOK, META_SETTLING, META_WEBHOOK_PATIENCE};
use crate::metrics::MetaUpdate;
use crate::projections::ServedAccount;

/// What becomes of a webhook of Meta's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is done with.
    Taken,
    /// It is none of Meta's, or nobody can tell.
    Unsigned(Unsigned),
    /// It is signed, and not what it should be.
    Malformed(String),
    /// What follows from it is not done yet: it is to come again.
    Later,
}

impl Inner {
    /// All sessions that there are, or why they cannot be told.
    pub(super) async fn sessions(&self) -> Result<Vec<Seen>, Failure> {
        let wish = self.wish();
        let listed = tokio::select! {
            listed = self.numbers.list(&self.graph, &wish) => listed,
            // Nobody waits for a token that may never be taken again: the gateway is away, and says why.
            () = self.graph.brake().stopped() => Err(self.graph.held_up("Meta refuses the token")),
        };
        Ok(listed?.iter().filter_map(seen).collect())
    }

    /// A wish of the gateway's own.
    fn wish(&self) -> Wish {
        Wish { until: Instant::now() + META_LOOK, is_over: self.stop.child_token() }
    }

    /// Takes in a webhook with this signature.
    pub(super) async fn hear(self: &Arc<Inner>, signature: Option<&str>, body: &[u8]) -> Taken {
        let count = |update: MetaUpdate, by: usize| self.metrics.meta_updates.at(update).inc_by(by as u64);
        let verified = match &self.settings.app_secret {
            Some(secret) => hook::verify(secret.text(), signature, body),
            None => Err(Unsigned::NoSecret),
        };
        if let Err(unsigned) = verified {
            count(MetaUpdate::Refused, 1);
            return Taken::Unsigned(unsigned);
        }
        let updates = match hook::updates(body, self.graph.waba()) {
            Ok(updates) => updates,
            Err(why) => {
                count(MetaUpdate::Refused, 1);
                return Taken::Malformed(why);
            }
        };
        let all = updates.len();
        let fresh: Vec<Update> = {
            let (memory, mut within) = (self.memory(), HashSet::new());
            updates.into_iter().filter(|update| !memory.has(&update.key) && within.insert(update.key)).collect()
        };
        count(MetaUpdate::Duplicate, all - fresh.len());
        let of = |heard: fn(&Heard) -> bool| fresh.iter().filter(|update| heard(&update.heard)).count();
        let unknown = of(|heard| matches!(heard, Heard::Unknown));
        let foreign = of(|heard| matches!(heard, Heard::Foreign));
        count(MetaUpdate::Unknown, unknown);
        count(MetaUpdate::Foreign, foreign);
        count(MetaUpdate::Taken, fresh.len() - unknown - foreign);
        self.follow(fresh).await
    }

    /// Does what follows from updates that are new.
    async fn follow(self: &Arc<Inner>, fresh: Vec<Update>) -> Taken {
        let (mut everything, mut accounts) = (false, HashSet::new());
        for update in &fresh {
            match update.heard {
                Heard::All(words) => {
                    tracing::warn!("Meta says that {words}; its numbers are looked at");
                    everything = true;
                }
                Heard::One(account, words) => {
                    tracing::info!(%account, "Meta says that {words}; the number is looked at");
                    accounts.insert(account);
                }
                Heard::Warning(words) => tracing::warn!("Meta says that {words}"),
                Heard::Nothing | Heard::Foreign | Heard::Unknown => {}
            }
        }
        let keys: Vec<Key> = fresh.into_iter().map(|update| update.key).collect();
        if !everything && accounts.is_empty() {
            self.remember(keys);
            return Taken::Taken;
        }
        // Those that wait for a hanging Graph are as many as these, and no more.
        let Ok(place) = self.looks.clone().try_acquire_owned() else { return Taken::Later };
        let inner = self.clone();
        let look = self.tasks.spawn_on(
            async move {
                let _place = place;
                let (stop, wish) = (inner.stop.clone(), inner.wish());
                let only = (!everything && accounts.len() <= GRAPH_LOOKS_BY_LIST).then_some(accounts);
                match stop.run_until_cancelled(inner.look_at(&wish, only.as_ref())).await {
                    Some(Ok(())) => {
                        inner.remember(keys);
                        true
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "the numbers cannot be looked at; Meta is to send its webhook again");
                        false
                    }
                    None => false,
                }
            },
            &self.runtime,
        );
        match timeout(META_WEBHOOK_PATIENCE, look).await {
            Ok(Ok(true)) => Taken::Taken,
            Ok(Ok(false) | Err(_)) | Err(_) => Taken::Later,
        }
    }

    fn remember(&self, keys: Vec<Key>) {
        let mut memory = self.memory();
        keys.into_iter().for_each(|key| memory.keep(key));
    }

    /// Looks at the numbers of all accounts, or of these alone, and settles what is seen. A finding about an account that
    /// something has happened to since is of no worth, and changes nothing.
    async fn look_at(&self, wish: &Wish, only: Option<&HashSet<AccountNumber>>) -> Result<(), Failure> {
        let mut served = self.roster.served_by(GatewayKind::CloudApi);
        served.retain(|served| only.is_none_or(|only| only.contains(&served.account)));
        let findings: Vec<(ServedAccount, Report)> = match self.numbers_of(wish, &served, only.is_some()).await {
            Ok(numbers) => {
                let found = |served: ServedAccount| Some((served, finding(&served, numbers.get(&served.account))?));
                served.into_iter().filter_map(found).collect()
            }
            // Where the whole account is shut out, so is each of its numbers.
            Err(failure) if failure.verdict() == Some(Verdict::Banned) => {
                let reason = Reason::new(failure.to_string());
                let banned = || Report::Banned { reason: reason.clone(), instance_code: String::new() };
                let normal = served.into_iter().filter(|served| served.status == Status::Normal);
                normal.map(|served| (served, banned())).collect()
            }
            Err(failure) => return Err(failure),
        };
        let settled = futures_util::stream::iter(findings).map(|(served, report)| async move {
            let command = Command::Reconcile { report, as_of: served.version };
            self.settle(served.account, command).await.map_err(|_| Failure::Over)
        });
        let settled: Vec<_> = settled.buffer_unordered(META_SETTLING).collect().await;
        settled.into_iter().try_for_each(|settled| settled.map(drop))
    }

    async fn numbers_of(
        &self,
        wish: &Wish,
        served: &[ServedAccount],
        each: bool,
    ) -> Result<HashMap<AccountNumber, Number>, Failure> {
        let mut numbers = HashMap::new();
        if each {
            for ServedAccount { account, .. } in served {
                let number = self.numbers.look(&self.graph, wish, *account).await?;
                numbers.extend(number.map(|number| (*account, number)));
            }
        } else {
            let all = self.numbers.list(&self.graph, wish).await?;
            numbers.extend(all.into_iter().filter_map(|number| Some((number.account?, number))));
        }
        Ok(numbers)
    }
}

/// What a number says about an account that is shown otherwise. Nothing where it is on its way: whoever brings it there
/// sees it too.
fn finding(served: &ServedAccount, number: Option<&Number>) -> Option<Report> {
    let is_online = served.online_status == OnlineStatus::Online;
    let offline = |reason: String| {
        let (reason, instance_code) = (Reason::new(reason), String::new());
        is_online.then_some(Report::Disconnected { session: None, reason, instance_code })
    };
    let Some(number) = number else {
        return offline("the number is not in the WhatsApp Business account any more".to_owned());
    };
    match (served.status, number.state().standing) {
        (Status::Normal, Standing::Banned) => {
            Some(Report::Banned { reason: Reason::new(standing(number)), instance_code: number.id.clone() })
        }
        (Status::Banned, Standing::Connected | Standing::Pending | Standing::Offline) => Some(Report::BanLifted),
        (Status::Normal, Standing::Offline | Standing::Gone) => offline(standing(number)),
        (Status::Normal, Standing::Connected | Standing::Pending | Standing::Unclear)
        | (Status::Banned, Standing::Banned | Standing::Gone | Standing::Unclear) => None,
    }
}

/// The session of a number, if it has one.
fn seen(number: &Number) -> Option<Seen> {
    let state = match number.state().standing {
        Standing::Connected => SeenState::Connected,
        Standing::Pending => SeenState::Connecting,
        Standing::Banned => SeenState::Banned { reason: Reason::new(standing(number)) },
        // What cannot be told is not told to be gone.
        Standing::Unclear => SeenState::Connecting,
        Standing::Offline | Standing::Gone => return None,
    };
    Some(Seen { account: number.account?, session: None, state, instance_code: number.id.clone() })
}
