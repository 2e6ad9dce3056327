//! Notifies the receiver of a webhook again of the present state of accounts, for example after a restore.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account_orders::parse_accounts;
use super::{ApiState, Call, Problem, parse_reason, run_to_completion};
use crate::access::Authorization;
use crate::actors::CommandSuccess;
use crate::audit;
use crate::domain::{AccountNumber, AdministrativeEvent, Channel, Command, CommandRejection, trim_line};
use crate::limits::BATCH_ACCOUNTS;

/// Which accounts, in exactly one of two ways.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Resync, example = json!({"all": true, "reason": "the backup of 2026-11-25 was restored"}))]
pub struct ResyncRequest {
    /// The numbers of these accounts, each once.
    #[serde(default)]
    #[schema(max_items = 10_000)]
    pub accounts: Vec<String>,
    /// All accounts. One call handles up to 10,000.
    #[serde(default)]
    pub all: bool,
    /// With `all`: the `next` of the previous call.
    pub after: Option<String>,
    /// The reason, on one line. It cannot be changed later.
    pub reason: Option<String>,
    /// Whether to only count.
    #[serde(default)]
    pub dry_run: bool,
}

/// What one call sends, or would send.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Resynced)]
pub struct ResyncSummary {
    /// The number of accounts.
    pub accounts: usize,
    /// The number of deliveries: one for each account that has something to tell on this webhook.
    pub deliveries: usize,
    /// With `all`: the `after` of the next call; null after the last account.
    #[schema(required)]
    pub next: Option<String>,
    /// Whether they were only counted.
    pub dry_run: bool,
}

/// Sends the present state of accounts to the receiver of a channel. Each account with something to tell gets an event,
/// and its delivery follows in the account's order. All events are durable when this returns.
pub async fn resync(call: &Call, channel: Channel, request: ResyncRequest) -> Result<ResyncSummary, Problem> {
    let reason = match request.reason.as_deref().map(trim_line) {
        None | Some("") => String::new(),
        Some(reason) => parse_reason(reason)?.to_owned(),
    };
    call.api().webhooks()?.check_receiver(channel).await?;
    let (accounts, next) = request.select_accounts(call.api())?;
    let (count, dry_run) = (accounts.len(), request.dry_run);
    let deliveries = match dry_run || accounts.is_empty() {
        true => count_deliveries(call, channel, accounts).await?,
        false => record_resyncs(call, channel, accounts, reason).await?,
    };
    Ok(ResyncSummary { accounts: count, deliveries, next, dry_run })
}

impl ResyncRequest {
    /// The accounts of this call, and where the next call continues.
    fn select_accounts(&self, api: &ApiState) -> Result<(Vec<AccountNumber>, Option<String>), Problem> {
        let roster = &api.service()?.roster;
        match (self.all, self.after.as_deref()) {
            (true, after) if self.accounts.is_empty() => {
                let invalid = || Problem::invalid_parameter("after", "must be the next of the previous call");
                let from = after.map_or(Ok(0), |after| after.parse().map_err(|_| invalid()))?;
                let (rows, next) = roster.select(from, BATCH_ACCOUNTS, |_, _, _| true);
                Ok((rows.into_iter().map(|(account, _, _)| account).collect(), next.map(|next| next.to_string())))
            }
            (false, None) if !self.accounts.is_empty() => {
                let accounts = parse_accounts(&self.accounts)?;
                match accounts.iter().find(|account| !roster.contains(**account)) {
                    Some(account) => Err(Problem::not_found(format!("{account} {}", CommandRejection::Unknown))),
                    None => Ok((accounts, None)),
                }
            }
            (_, _) => Err(Problem::malformed(format!("select the accounts in exactly one way: {RESYNC_EXAMPLE}"))),
        }
    }
}

/// Examples of requests, for error messages.
pub const RESYNC_EXAMPLE: &str =
    r#"{"all":true}, {"all":true,"after":"10000"} or {"accounts":["861821726232"]}; with "reason" and "dryRun""#;

/// How many of these accounts have something to tell on a channel.
async fn count_deliveries(call: &Call, channel: Channel, accounts: Vec<AccountNumber>) -> Result<usize, Problem> {
    let journal = call.api().audit().journal().clone();
    call.read_blocking(move || {
        let mut deliveries = 0;
        for account in accounts {
            let (state, _) = journal.load_account(account).map_err(audit::Error::from)?;
            deliveries += usize::from(state.resync_event(channel).is_some());
        }
        Ok(deliveries)
    })
    .await
}

/// Records the call in the audit log, then an event for each account. Completes even if the client disconnects.
async fn record_resyncs(
    call: &Call,
    channel: Channel,
    accounts: Vec<AccountNumber>,
    reason: String,
) -> Result<usize, Problem> {
    let count = accounts.len() as u64;
    let commands = accounts.into_iter().map(|account| (account, Command::Resync { channel })).collect();
    let requester = call.authorize().map(Authorization::into_requester_identity)?;
    // Reserve first: without capacity the call is rejected, and must not be recorded.
    let reserved = call.api().service()?.accounts.reserve(commands)?;
    let (api, origin) = (call.api().clone(), requester.origin);
    run_to_completion(async move {
        let event = AdministrativeEvent::WebhookResynced { channel, accounts: count, reason };
        api.record(event, requester).await.map_err(audit::Error::from)?;
        let mut deliveries = 0;
        for outcome in reserved.execute(origin).await {
            deliveries += usize::from(outcome? == Ok(CommandSuccess::Recorded));
        }
        Ok(deliveries)
    })
    .await
}
