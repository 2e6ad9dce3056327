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

use super::CloudApiInner;
use super::call_error::GraphCallError;
use super::graph_response::PhoneNumber;
use super::meta_codes::{GraphErrorClass, NumberStatus};
use super::meta_webhook::{self, MetaSignatureError, MetaWebhookUpdate, UpdateKey, UpdateMeaning};
use super::number_registration::describe_status;
use super::throttle::WorkDeadline;
use crate::domain::{AccountNumber, Command, GatewayKind, OnlineStatus, Reason, Report, Status};
use crate::gateway::provider::{GatewaySession, GatewaySessionState};
use crate::limits::{GRAPH_LIST_THRESHOLD, META_SYNC_ACCOUNTS_IN_FLIGHT, META_SYNC_TIMEOUT, META_WEBHOOK_TIMEOUT};
use crate::metrics::MetaUpdate;
use crate::projections::ServedAccount;

/// What becomes of a webhook of Meta's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MetaWebhookOutcome {
    /// It is done with.
    Processed,
    /// It is none of Meta's, or nobody can tell.
    SignatureInvalid(MetaSignatureError),
    /// It is signed, and not what it should be.
    Malformed(String),
    /// What follows from it is not done yet: it is to come again.
    Retry,
}

impl CloudApiInner {
    /// All sessions that there are, or why they cannot be told.
    pub(super) async fn list_sessions(&self) -> Result<Vec<GatewaySession>, GraphCallError> {
        let wish = self.sync_deadline();
        let listed = tokio::select! {
            listed = self.numbers.list(&self.graph, &wish) => listed,
            // Nobody waits for a token that may never be taken again: the gateway is away, and says why.
            () = self.graph.throttle().wait_for_token_rejection() => Err(self.graph.held_up_error("Meta refuses the token")),
        };
        Ok(listed?.iter().filter_map(session_of).collect())
    }

    /// A wish of the gateway's own.
    fn sync_deadline(&self) -> WorkDeadline {
        WorkDeadline { deadline: Instant::now() + META_SYNC_TIMEOUT, cancel: self.stop.child_token() }
    }

    /// Takes in a webhook with this signature.
    pub(super) async fn handle_webhook(
        self: &Arc<CloudApiInner>,
        signature: Option<&str>,
        body: &[u8],
    ) -> MetaWebhookOutcome {
        let count = |update: MetaUpdate, by: usize| self.metrics.meta_updates.with(update).inc_by(by as u64);
        let verified = match &self.settings.app_secret {
            Some(secret) => meta_webhook::verify_signature(secret.text(), signature, body),
            None => Err(MetaSignatureError::NoSecret),
        };
        if let Err(unsigned) = verified {
            count(MetaUpdate::Refused, 1);
            return MetaWebhookOutcome::SignatureInvalid(unsigned);
        }
        let updates = match meta_webhook::parse_updates(body, self.graph.waba_id()) {
            Ok(updates) => updates,
            Err(why) => {
                count(MetaUpdate::Refused, 1);
                return MetaWebhookOutcome::Malformed(why);
            }
        };
        let all = updates.len();
        let fresh: Vec<MetaWebhookUpdate> = {
            let (memory, mut within) = (self.recent_updates(), HashSet::new());
            updates.into_iter().filter(|update| !memory.contains(&update.key) && within.insert(update.key)).collect()
        };
        count(MetaUpdate::Duplicate, all - fresh.len());
        let of = |heard: fn(&UpdateMeaning) -> bool| fresh.iter().filter(|update| heard(&update.meaning)).count();
        let unknown = of(|heard| matches!(heard, UpdateMeaning::Unknown));
        let foreign = of(|heard| matches!(heard, UpdateMeaning::OtherAccount));
        count(MetaUpdate::Unknown, unknown);
        count(MetaUpdate::Foreign, foreign);
        count(MetaUpdate::Taken, fresh.len() - unknown - foreign);
        self.apply_updates(fresh).await
    }

    /// Does what follows from updates that are new.
    async fn apply_updates(self: &Arc<CloudApiInner>, fresh: Vec<MetaWebhookUpdate>) -> MetaWebhookOutcome {
        let (mut everything, mut accounts) = (false, HashSet::new());
        for update in &fresh {
            match update.meaning {
                UpdateMeaning::AllNumbers(words) => {
                    tracing::warn!("Meta says that {words}; its numbers are looked at");
                    everything = true;
                }
                UpdateMeaning::OneNumber(account, words) => {
                    tracing::info!(%account, "Meta says that {words}; the number is looked at");
                    accounts.insert(account);
                }
                UpdateMeaning::Warning(words) => tracing::warn!("Meta says that {words}"),
                UpdateMeaning::Irrelevant | UpdateMeaning::OtherAccount | UpdateMeaning::Unknown => {}
            }
        }
        let keys: Vec<UpdateKey> = fresh.into_iter().map(|update| update.key).collect();
        if !everything && accounts.is_empty() {
            self.remember_updates(keys);
            return MetaWebhookOutcome::Processed;
        }
        // Those that wait for a hanging Graph are as many as these, and no more.
        let Ok(place) = self.sync_permits.clone().try_acquire_owned() else { return MetaWebhookOutcome::Retry };
        let inner = self.clone();
        let look = self.tasks.spawn_on(
            async move {
                let _place = place;
                let (stop, wish) = (inner.stop.clone(), inner.sync_deadline());
                let only = (!everything && accounts.len() <= GRAPH_LIST_THRESHOLD).then_some(accounts);
                match stop.run_until_cancelled(inner.sync_accounts(&wish, only.as_ref())).await {
                    Some(Ok(())) => {
                        inner.remember_updates(keys);
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
        match timeout(META_WEBHOOK_TIMEOUT, look).await {
            Ok(Ok(true)) => MetaWebhookOutcome::Processed,
            Ok(Ok(false) | Err(_)) | Err(_) => MetaWebhookOutcome::Retry,
        }
    }

    fn remember_updates(&self, keys: Vec<UpdateKey>) {
        let mut memory = self.recent_updates();
        keys.into_iter().for_each(|key| memory.insert(key));
    }

    /// Looks at the numbers of all accounts, or of these alone, and settles what is seen. A finding about an account that
    /// something has happened to since is of no worth, and changes nothing.
    async fn sync_accounts(
        &self,
        wish: &WorkDeadline,
        only: Option<&HashSet<AccountNumber>>,
    ) -> Result<(), GraphCallError> {
        let mut served = self.roster.accounts_of_gateway(GatewayKind::CloudApi);
        served.retain(|served| only.is_none_or(|only| only.contains(&served.account)));
        let findings: Vec<(ServedAccount, Report)> = match self.fetch_numbers(wish, &served, only.is_some()).await {
            Ok(numbers) => {
                let found =
                    |served: ServedAccount| Some((served, detect_change(&served, numbers.get(&served.account))?));
                served.into_iter().filter_map(found).collect()
            }
            // Where the whole account is shut out, so is each of its numbers.
            Err(failure) if failure.error_class() == Some(GraphErrorClass::Banned) => {
                let reason = Reason::new(failure.to_string());
                let banned = || Report::Banned { reason: reason.clone(), instance_code: String::new() };
                let normal = served.into_iter().filter(|served| served.status == Status::Normal);
                normal.map(|served| (served, banned())).collect()
            }
            Err(failure) => return Err(failure),
        };
        let settled = futures_util::stream::iter(findings).map(|(served, report)| async move {
            let command = Command::Reconcile { report, as_of: served.version };
            self.execute(served.account, command).await.map_err(|_| GraphCallError::Cancelled)
        });
        let settled: Vec<_> = settled.buffer_unordered(META_SYNC_ACCOUNTS_IN_FLIGHT).collect().await;
        settled.into_iter().try_for_each(|settled| settled.map(drop))
    }

    async fn fetch_numbers(
        &self,
        wish: &WorkDeadline,
        served: &[ServedAccount],
        each: bool,
    ) -> Result<HashMap<AccountNumber, PhoneNumber>, GraphCallError> {
        let mut numbers = HashMap::new();
        if each {
            for ServedAccount { account, .. } in served {
                let number = self.numbers.lookup(&self.graph, wish, *account).await?;
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
fn detect_change(served: &ServedAccount, number: Option<&PhoneNumber>) -> Option<Report> {
    let is_online = served.online_status == OnlineStatus::Online;
    let offline = |reason: String| {
        let (reason, instance_code) = (Reason::new(reason), String::new());
        is_online.then_some(Report::Disconnected { session: None, reason, instance_code })
    };
    let Some(number) = number else {
        return offline("the number is not in the WhatsApp Business account any more".to_owned());
    };
    match (served.status, number.status_meaning().status) {
        (Status::Normal, NumberStatus::Banned) => {
            Some(Report::Banned { reason: Reason::new(describe_status(number)), instance_code: number.id.clone() })
        }
        (Status::Banned, NumberStatus::Connected | NumberStatus::Pending | NumberStatus::Offline) => {
            Some(Report::BanLifted)
        }
        (Status::Normal, NumberStatus::Offline | NumberStatus::Gone) => offline(describe_status(number)),
        (Status::Normal, NumberStatus::Connected | NumberStatus::Pending | NumberStatus::Unclear)
        | (Status::Banned, NumberStatus::Banned | NumberStatus::Gone | NumberStatus::Unclear) => None,
    }
}

/// The session of a number, if it has one.
fn session_of(number: &PhoneNumber) -> Option<GatewaySession> {
    let state = match number.status_meaning().status {
        NumberStatus::Connected => GatewaySessionState::Connected,
        NumberStatus::Pending => GatewaySessionState::Connecting,
        NumberStatus::Banned => GatewaySessionState::Banned { reason: Reason::new(describe_status(number)) },
        // What cannot be told is not told to be gone.
        NumberStatus::Unclear => GatewaySessionState::Connecting,
        NumberStatus::Offline | NumberStatus::Gone => return None,
    };
    Some(GatewaySession { account: number.account?, session: None, state, instance_code: number.id.clone() })
}
