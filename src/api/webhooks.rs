//! Webhooks: channels, their receivers and secrets, deliveries, dead letters.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::webhook_requests::{
    CloseRequest, DeadLetterRequest, PauseRequest, RedeliverRequest, SetAppSecretRequest, SetSecretRequest,
    SetUrlRequest,
};
use super::{Call, Parameters, Problem, parse_account, parse_time_parameter};
use crate::access::Authorization;
use crate::config::parse_duration;
use crate::domain::{Channel, EventId};
use crate::journal::RequesterIdentity;
use crate::limits::SECRET_GRACE;
use crate::webhooks::{
    AttemptView, ChannelView, CloseSummary, DeadLetterAction, DeadLetterScope, DeadLetterView, DeliveryFilter,
    DeliveryState, DeliveryView, RedeliverySummary, ResultsPage, Webhooks,
};

/// Examples of requests about dead letters, for error messages.
pub const DEAD_LETTERS_EXAMPLE: &str =
    r#"{"positions":["7"]}, {"upTo":"9"} or {"all":true}; to drop them, with "reason":"why""#;

/// Both webhooks.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhooks)]
pub struct ChannelList {
    /// `sync`, then `register`.
    pub channels: Vec<ChannelView>,
}

/// A new signing secret.
#[derive(Serialize, ToSchema)]
pub struct NewSecret {
    /// `sync` or `register`.
    pub channel: &'static str,
    /// The secret, which is shown only once.
    pub secret: String,
}

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
pub struct DeliveryPage {
    /// Latest first.
    pub deliveries: Vec<DeliveryView>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
}

/// A page of dead letters.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterPage {
    /// Earliest first.
    pub dead_letters: Vec<DeadLetterView>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
}

/// Shows all channels.
pub async fn show_webhooks(call: &Call) -> Result<ChannelList, Problem> {
    call.read(async { Ok(ChannelList { channels: channel_views(call.api().webhooks()?).await? }) }).await
}

/// The state of all channels.
pub(super) async fn channel_views(webhooks: &Webhooks) -> Result<Vec<ChannelView>, Problem> {
    let mut views = Vec::new();
    for channel in Channel::ALL {
        views.push(webhooks.channel_view(channel).await?);
    }
    Ok(views)
}

/// Shows a channel.
pub async fn show_webhook(call: &Call, channel: Channel) -> Result<ChannelView, Problem> {
    call.read(async { Ok(call.api().webhooks()?.channel_view(channel).await?) }).await
}

/// Sets the receiver of a channel. Without a request, the channel returns to the receiver in the settings.
pub async fn set_receiver(
    call: &Call,
    channel: Channel,
    request: Option<SetUrlRequest>,
) -> Result<ChannelView, Problem> {
    let (webhooks, url) = (call.api().webhooks()?, request.as_ref().map(|request| request.url.as_str()));
    webhooks.set_url(channel, url, requester(call)?).await?;
    Ok(webhooks.channel_view(channel).await?)
}

/// Sets the Standard Webhooks secret of a channel. Only this response shows the secret.
pub async fn set_secret(call: &Call, channel: Channel, request: SetSecretRequest) -> Result<NewSecret, Problem> {
    let secret = request.secret.as_ref().map(|secret| secret.as_str());
    let grace = parse_grace(request.grace.as_deref())?;
    let secret = call.api().webhooks()?.set_secret(channel, secret, grace, requester(call)?).await?;
    Ok(NewSecret { channel: channel.short_name(), secret })
}

/// Removes the Standard Webhooks secrets of a channel.
pub async fn unset_secret(call: &Call, channel: Channel) -> Result<ChannelView, Problem> {
    let webhooks = call.api().webhooks()?;
    webhooks.remove_secrets(channel, requester(call)?).await?;
    Ok(webhooks.channel_view(channel).await?)
}

/// Sets the app secret of a channel. Without a request, removes it.
pub async fn set_app_secret(
    call: &Call,
    channel: Channel,
    request: Option<SetAppSecretRequest>,
) -> Result<ChannelView, Problem> {
    let webhooks = call.api().webhooks()?;
    let secret = request.as_ref().map(|request| (request.tenant_id.as_str(), request.secret.as_str()));
    webhooks.set_app_secret(channel, secret, requester(call)?).await?;
    Ok(webhooks.channel_view(channel).await?)
}

/// Sends a test webhook, and waits for the response.
pub async fn test_receiver(call: &Call, channel: Channel) -> Result<AttemptView, Problem> {
    let webhooks = call.api().webhooks()?;
    call.authorize()?;
    Ok(webhooks.test(channel).await?)
}

/// Pauses a channel.
pub async fn pause_webhook(call: &Call, channel: Channel, request: PauseRequest) -> Result<ChannelView, Problem> {
    let webhooks = call.api().webhooks()?;
    webhooks.pause(channel, &request.reason, requester(call)?).await?;
    Ok(webhooks.channel_view(channel).await?)
}

/// Resumes a channel.
pub async fn resume_webhook(call: &Call, channel: Channel) -> Result<ChannelView, Problem> {
    let webhooks = call.api().webhooks()?;
    webhooks.resume(channel, requester(call)?).await?;
    Ok(webhooks.channel_view(channel).await?)
}

/// Drops the pending deliveries of a channel that has no receiver.
pub async fn close_webhook(call: &Call, channel: Channel, request: CloseRequest) -> Result<CloseSummary, Problem> {
    let CloseRequest { reason, dry_run } = request;
    Ok(call.api().webhooks()?.close(channel, reason.as_deref(), dry_run, requester(call)?).await?)
}

/// Sends past deliveries again.
pub async fn redeliver(call: &Call, channel: Channel, request: RedeliverRequest) -> Result<RedeliverySummary, Problem> {
    let RedeliverRequest { account, state, since, until, from, to, dry_run } = request;
    let filter = DeliveryFilter {
        account: account.as_deref().map(|number| parse_account("account", number)).transpose()?,
        state: state.as_deref().map(parse_state).transpose()?,
        since: since.as_deref().map(|time| parse_time_parameter("since", time)).transpose()?,
        until: until.as_deref().map(|time| parse_time_parameter("until", time)).transpose()?,
        from: from.map(|from| find_position(call, from.0)).transpose()?,
        to: to.map(|to| find_position(call, to.0)).transpose()?,
    };
    if filter.is_unfiltered() {
        let words = "selects all deliveries there are; add from, or another filter";
        return Err(Problem::invalid_parameter("from", words));
    }
    Ok(call.api().webhooks()?.redeliver(channel, filter, dry_run, requester(call)?).await?)
}

/// Lists the deliveries of a channel, the latest first.
pub async fn list_deliveries(
    call: &Call,
    channel: Channel,
    filter: DeliveryFilter,
    cursor: Option<EventId>,
    limit: usize,
) -> Result<DeliveryPage, Problem> {
    call.read(async {
        let cursor = resolve_cursor(call, cursor)?;
        let ResultsPage { items, next } = call.api().webhooks()?.deliveries(channel, filter, cursor, limit).await?;
        Ok(DeliveryPage { deliveries: items, next: next.map(|next| format_position(call, next)) })
    })
    .await
}

/// Shows a delivery with its attempts.
pub async fn show_delivery(call: &Call, channel: Channel, id: EventId) -> Result<DeliveryView, Problem> {
    call.read(async {
        let position = find_position(call, id)?;
        Ok(call.api().webhooks()?.delivery(channel, position).await?)
    })
    .await
}

/// Sends one delivery again.
pub async fn resend_delivery(call: &Call, channel: Channel, id: EventId) -> Result<RedeliverySummary, Problem> {
    let position = find_position(call, id)?;
    Ok(call.api().webhooks()?.resend(channel, position, requester(call)?).await?)
}

/// Lists dead letters, the earliest first.
pub async fn list_dead_letters(
    call: &Call,
    channel: Channel,
    cursor: Option<EventId>,
    limit: usize,
) -> Result<DeadLetterPage, Problem> {
    call.read(async {
        let cursor = resolve_cursor(call, cursor)?;
        let ResultsPage { items, next } =
            call.api().webhooks()?.dead_letters(channel, cursor.unwrap_or(0), limit).await?;
        Ok(DeadLetterPage { dead_letters: items, next: next.map(|next| format_position(call, next)) })
    })
    .await
}

/// Sends dead letters again.
pub async fn replay_dead_letters(
    call: &Call,
    channel: Channel,
    request: DeadLetterRequest,
) -> Result<RedeliverySummary, Problem> {
    let scope = request.scope(call)?;
    if request.reason.is_some() {
        return Err(Problem::invalid_parameter("reason", "is only for dropping; leave it out"));
    }
    Ok(call.api().webhooks()?.process_dead_letters(channel, scope, DeadLetterAction::Replay, requester(call)?).await?)
}

/// Drops dead letters.
pub async fn drop_dead_letters(
    call: &Call,
    channel: Channel,
    request: DeadLetterRequest,
) -> Result<RedeliverySummary, Problem> {
    let scope = request.scope(call)?;
    let missing = || Problem::invalid_parameter("reason", "is missing; say why they are dropped");
    let action = DeadLetterAction::Drop(request.reason.ok_or_else(missing)?);
    Ok(call.api().webhooks()?.process_dead_letters(channel, scope, action, requester(call)?).await?)
}

/// The position at a cursor. Fails if the log does not have it.
fn resolve_cursor(call: &Call, cursor: Option<EventId>) -> Result<Option<u64>, Problem> {
    let journal = call.api().audit().journal();
    Ok(cursor.map(|cursor| journal.position_of(cursor)).transpose()?)
}

/// The position of the event with this id. Fails if a restore lost it.
fn find_position(call: &Call, id: EventId) -> Result<u64, Problem> {
    Ok(call.api().audit().journal().position_in_history(id)?)
}

fn format_position(call: &Call, position: u64) -> String {
    call.api().audit().journal().event_id(position).to_string()
}

fn requester(call: &Call) -> Result<RequesterIdentity, Problem> {
    call.authorize().map(Authorization::into_requester_identity)
}

impl DeadLetterRequest {
    fn scope(&self, call: &Call) -> Result<DeadLetterScope, Problem> {
        match (&self.positions[..], self.up_to, self.all) {
            (positions @ [_, ..], None, false) => {
                let positions = positions.iter().map(|position| find_position(call, position.0));
                Ok(DeadLetterScope::At(positions.collect::<Result<_, _>>()?))
            }
            ([], Some(up_to), false) => Ok(DeadLetterScope::UpTo(find_position(call, up_to.0)?)),
            ([], None, true) => Ok(DeadLetterScope::UpTo(u64::MAX)),
            _ => Err(Problem::malformed(format!("select the dead letters in exactly one way: {DEAD_LETTERS_EXAMPLE}"))),
        }
    }
}

/// `account`, `state`, `since` and `until`.
pub fn parse_delivery_filter(parameters: &Parameters<'_>) -> Result<DeliveryFilter, Problem> {
    Ok(DeliveryFilter {
        account: parameters.account()?,
        state: parameters.text("state").map(parse_state).transpose()?,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        from: None,
        to: None,
    })
}

/// Parses a channel's short name or configuration id.
pub fn parse_channel(name: &str) -> Result<Channel, Problem> {
    Channel::from_name(name).ok_or_else(|| {
        let known = Channel::ALL.map(Channel::short_name).join(", ");
        Problem::not_found(format!("there is no webhook {name:?}; there are: {known}"))
    })
}

fn parse_state(name: &str) -> Result<DeliveryState, Problem> {
    DeliveryState::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| {
        let known = DeliveryState::ALL.map(DeliveryState::name).join(", ");
        Problem::invalid_parameter("state", format_args!("must be one of {known}, not {name:?}"))
    })
}

fn parse_grace(text: Option<&str>) -> Result<Duration, Problem> {
    let Some(text) = text else { return Ok(SECRET_GRACE) };
    parse_duration(text).ok_or_else(|| Problem::invalid_parameter("grace", "must be a duration, such as 24h or 0s"))
}
