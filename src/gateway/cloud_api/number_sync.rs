//! Reads the numbers from Meta, to list sessions and to sync accounts after a webhook.
//!
//! A webhook is answered with success once its effects are durable: the numbers were read, and their accounts executed
//! the reports. If that takes too long for Meta, the answer asks Meta to send the webhook again, and the sync continues.
//! So a crash of Muster loses no webhook. The periodic reconciliation finds what Meta does not send again.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use super::call_error::GraphCallError;
use super::graph_response::PhoneNumber;
use super::meta_codes::{GraphErrorClass, NumberStatus};
use super::meta_webhook::{self, MetaSignatureError, MetaWebhookUpdate, UpdateKey, UpdateMeaning};
use super::number_cache::LookupError;
use super::number_matching::{MatchedNumber, MatchedNumbers};
use super::number_registration::describe_status;
use super::shared_state::CloudApiInner;
use super::throttle::WorkDeadline;
use crate::domain::{AccountNumber, Command, GatewayKind, OnlineStatus, Reason, Report, Status};
use crate::gateway::remote_gateway::{GatewaySession, GatewaySessionState};
use crate::limits::{GRAPH_LIST_THRESHOLD, META_SYNC_ACCOUNTS_IN_FLIGHT, META_SYNC_TIMEOUT, META_WEBHOOK_TIMEOUT};
use crate::metrics::MetaUpdate;
use crate::projections::ServedAccount;

/// The outcome of a webhook from Meta.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MetaWebhookOutcome {
    /// It was processed.
    Processed,
    /// The signature is wrong or cannot be verified.
    SignatureInvalid(MetaSignatureError),
    /// The signature is valid, but the body is malformed.
    Malformed(String),
    /// Its effects are not durable yet: Meta must send it again.
    Retry,
}

impl CloudApiInner {
    /// Lists all sessions.
    pub(super) async fn list_sessions(&self) -> Result<Vec<GatewaySession>, GraphCallError> {
        let work = self.sync_deadline();
        let listed = tokio::select! {
            listed = self.numbers.list(&self.graph, &work) => listed,
            // Meta may never accept the token again, so the listing fails at once and the gateway counts as away.
            () = self.graph.throttle().wait_for_token_rejection() => Err(self.graph.not_sent_error("Meta rejects the \
                token")),
        };
        let MatchedNumbers { by_account, unknown } = listed?;
        let known = by_account.into_iter().filter_map(|(account, number)| match number {
            Ok(number) => session_of(account, &number),
            Err(conflict) => {
                tracing::warn!(%account, %conflict, "the number of an account is not clear");
                Some(unclear_session(account))
            }
        });
        let unknown = unknown.iter().filter_map(|number| session_of(number.shown?, number));
        Ok(known.chain(unknown).collect())
    }

    /// The deadline of a sync.
    fn sync_deadline(&self) -> WorkDeadline {
        WorkDeadline { deadline: Instant::now() + META_SYNC_TIMEOUT, cancel: self.stop.child_token() }
    }

    /// Verifies and processes a webhook.
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
        if let Err(error) = verified {
            count(MetaUpdate::Refused, 1);
            return MetaWebhookOutcome::SignatureInvalid(error);
        }
        let updates = match meta_webhook::parse_updates(body, self.graph.waba_id()) {
            Ok(updates) => updates,
            Err(why) => {
                count(MetaUpdate::Refused, 1);
                return MetaWebhookOutcome::Malformed(why);
            }
        };
        let total = updates.len();
        let new_updates: Vec<MetaWebhookUpdate> = {
            let (memory, mut keys) = (self.recent_updates(), HashSet::new());
            updates.into_iter().filter(|update| !memory.contains(&update.key) && keys.insert(update.key)).collect()
        };
        count(MetaUpdate::Duplicate, total - new_updates.len());
        let count_of =
            |matches: fn(&UpdateMeaning) -> bool| new_updates.iter().filter(|update| matches(&update.meaning)).count();
        let unknown = count_of(|meaning| matches!(meaning, UpdateMeaning::Unknown));
        let foreign = count_of(|meaning| matches!(meaning, UpdateMeaning::OtherAccount));
        count(MetaUpdate::Unknown, unknown);
        count(MetaUpdate::Foreign, foreign);
        count(MetaUpdate::Processed, new_updates.len() - unknown - foreign);
        self.apply_updates(new_updates).await
    }

    /// Applies new updates.
    async fn apply_updates(self: &Arc<CloudApiInner>, new_updates: Vec<MetaWebhookUpdate>) -> MetaWebhookOutcome {
        let (mut all_numbers, mut shown) = (false, HashSet::new());
        for update in &new_updates {
            match update.meaning {
                UpdateMeaning::AllNumbers(words) => {
                    tracing::warn!("Meta reports that {words}; syncing its numbers");
                    all_numbers = true;
                }
                UpdateMeaning::OneNumber(number, words) => {
                    tracing::info!(account = %number, "Meta reports that {words}; syncing the number");
                    shown.insert(number);
                }
                UpdateMeaning::Warning(words) => tracing::warn!("Meta reports that {words}"),
                UpdateMeaning::Irrelevant | UpdateMeaning::OtherAccount | UpdateMeaning::Unknown => {}
            }
        }
        let keys: Vec<UpdateKey> = new_updates.into_iter().map(|update| update.key).collect();
        if !all_numbers && shown.is_empty() {
            self.remember_updates(keys);
            return MetaWebhookOutcome::Processed;
        }
        // Bounds the syncs that wait while the Graph hangs.
        let Ok(permit) = self.sync_permits.clone().try_acquire_owned() else { return MetaWebhookOutcome::Retry };
        let inner = self.clone();
        let sync = self.tasks.spawn_on(
            async move {
                let _permit = permit;
                let (stop, work) = (inner.stop.clone(), inner.sync_deadline());
                let only = (!all_numbers && shown.len() <= GRAPH_LIST_THRESHOLD).then_some(shown);
                match stop.run_until_cancelled(inner.sync_accounts(&work, only.as_ref())).await {
                    Some(Ok(())) => {
                        inner.remember_updates(keys);
                        true
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "the numbers cannot be synced; Meta has to send its webhook again");
                        false
                    }
                    None => false,
                }
            },
            &self.runtime,
        );
        match timeout(META_WEBHOOK_TIMEOUT, sync).await {
            Ok(Ok(true)) => MetaWebhookOutcome::Processed,
            Ok(Ok(false) | Err(_)) | Err(_) => MetaWebhookOutcome::Retry,
        }
    }

    fn remember_updates(&self, keys: Vec<UpdateKey>) {
        let mut memory = self.recent_updates();
        keys.into_iter().for_each(|key| memory.insert(key));
    }

    /// Reads the numbers of all accounts, or of those that Meta shows as `only` these, and reports changes to the accounts. A
    /// report about an account that changed in the meantime has no effect.
    async fn sync_accounts(
        &self,
        work: &WorkDeadline,
        only: Option<&HashSet<AccountNumber>>,
    ) -> Result<(), GraphCallError> {
        let mut served = self.roster.accounts_of_gateway(GatewayKind::CloudApi);
        if let Some(only) = only {
            let is_shown = self.numbers.shown_as(only);
            served.retain(|served| is_shown(served.account));
        }
        let findings: Vec<(ServedAccount, Report)> = match self.fetch_numbers(work, &served, only.is_some()).await {
            Ok(MatchedNumbers { by_account, .. }) => {
                let found =
                    |served: ServedAccount| Some((served, detect_change(&served, by_account.get(&served.account))?));
                served.into_iter().filter_map(found).collect()
            }
            // A ban of the WhatsApp Business account bans each of its numbers.
            Err(failure) if failure.error_class() == Some(GraphErrorClass::Banned) => {
                let reason = Reason::new(failure.to_string());
                let banned = || Report::Banned { reason: reason.clone(), instance_code: String::new() };
                let normal = served.into_iter().filter(|served| served.status == Status::Normal);
                normal.map(|served| (served, banned())).collect()
            }
            Err(failure) => return Err(failure),
        };
        let executed = futures_util::stream::iter(findings).map(|(served, report)| async move {
            let command = Command::Reconcile { report, as_of: served.version };
            self.execute(served.account, command).await.map_err(|_| GraphCallError::Cancelled)
        });
        let executed: Vec<_> = executed.buffer_unordered(META_SYNC_ACCOUNTS_IN_FLIGHT).collect().await;
        executed.into_iter().try_for_each(|executed| executed.map(drop))
    }

    async fn fetch_numbers(
        &self,
        work: &WorkDeadline,
        served: &[ServedAccount],
        one_by_one: bool,
    ) -> Result<MatchedNumbers, GraphCallError> {
        if !one_by_one {
            return self.numbers.list(&self.graph, work).await;
        }
        let mut numbers = MatchedNumbers::default();
        for ServedAccount { account, .. } in served {
            let number = match self.numbers.lookup(&self.graph, work, *account).await {
                Ok(number) => number.map(Ok),
                Err(LookupError::Conflict(conflict)) => Some(Err(conflict)),
                Err(LookupError::Call(failure)) => return Err(failure),
            };
            numbers.by_account.extend(number.map(|number| (*account, number)));
        }
        Ok(numbers)
    }
}

/// The report for an account whose number differs from its reported state. Only an online account is reported offline:
/// while an account comes online or goes offline, its task reports the outcome.
fn detect_change(served: &ServedAccount, number: Option<&MatchedNumber>) -> Option<Report> {
    let is_online = served.online_status == OnlineStatus::Online;
    let offline = |reason: String| {
        let (reason, instance_code) = (Reason::new(reason), String::new());
        is_online.then_some(Report::Disconnected { session: None, reason, instance_code })
    };
    let Some(number) = number else {
        return offline("the number is no longer in the WhatsApp Business account".to_owned());
    };
    let number = match number {
        Ok(number) => number,
        // Another number's status must not change this account.
        Err(conflict) => {
            tracing::warn!(account = %served.account, %conflict, "the number of an account is not clear");
            return None;
        }
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

/// The session of an account with this number. `None` if the number is offline or gone.
fn session_of(account: AccountNumber, number: &PhoneNumber) -> Option<GatewaySession> {
    let state = match number.status_meaning().status {
        NumberStatus::Connected => GatewaySessionState::Connected,
        NumberStatus::Pending => GatewaySessionState::Connecting,
        NumberStatus::Banned => GatewaySessionState::Banned { reason: Reason::new(describe_status(number)) },
        // An unclear status must not look like a missing session.
        NumberStatus::Unclear => GatewaySessionState::Connecting,
        NumberStatus::Offline | NumberStatus::Gone => return None,
    };
    Some(GatewaySession { account, session: None, state, instance_code: number.id.clone() })
}

/// The session of an account whose number is not clear: it must not look like a missing one, nor like an open one.
fn unclear_session(account: AccountNumber) -> GatewaySession {
    GatewaySession { account, session: None, state: GatewaySessionState::Connecting, instance_code: String::new() }
}
