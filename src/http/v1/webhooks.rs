//! Webhooks: channels, their receivers and secrets, deliveries, dead letters.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use warp::http::StatusCode;
use warp::reply::Response;
use zeroize::Zeroizing;

use super::problem::Problem;
use super::query_parameters::{QueryParameters, parse_account, parse_time_parameter};
use super::request_context::RequestContext;
use super::response_body::json_response;
use super::{ApiState, problem};
use crate::access::Authorization;
use crate::config::parse_duration;
use crate::domain::Channel;
use crate::http::contract_requests::Query;
use crate::limits::SECRET_GRACE;
use crate::webhooks::{
    ChannelView, DeadLetterAction, DeadLetterScope, DeadLetterView, DeliveryFilter, DeliveryState, DeliveryView,
    ManagementError, ResultsPage, Webhooks,
};

/// A position: a number, or a string of digits as in responses.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(in crate::http) struct Position(u64);

/// A receiver.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReceiverUrl, example = json!({"url": "https://example.com/status"}))]
pub(in crate::http) struct SetUrlRequest {
    /// Its whole URL, `http` or `https`. It must not lead to an address that the guard refuses.
    url: String,
}

/// A secret of Standard Webhooks; nothing, or an empty object, for one that is drawn.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WantedSecret, example = json!({"grace": "24h"}))]
pub(in crate::http) struct SetSecretRequest {
    /// `whsec_` and 24 to 64 bytes in base64; drawn if it is left out.
    #[schema(value_type = Option<String>)]
    secret: Option<Zeroizing<String>>,
    /// How long the secret before signs too, as in `24h` (which holds if it is left out), `0s`; at most 30 days.
    grace: Option<String>,
}

/// The secret of the API family's way to sign.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AppSecret, example = json!({"tenantId": "500975", "secret": "f9a40a4780f5e1306c46f1c8daecee3b"}))]
pub(in crate::http) struct SetAppSecretRequest {
    /// Who the receiver is to the sender, as both agreed: 1 to 64 letters, digits, dots, dashes, underscores.
    tenant_id: String,
    /// 8 to 64 visible ASCII characters.
    #[schema(value_type = String)]
    secret: Zeroizing<String>,
}

/// Why something is done.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reason, example = json!({"reason": "maintenance"}))]
pub(in crate::http) struct PauseRequest {
    /// 1 to 256 bytes of text on one line, which stands in the history for ever.
    reason: String,
}

/// Which deliveries are to be sent again; at least one field but `dryRun`.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Redelivery, example = json!({"state": "dead", "since": "2026-11-25", "dryRun": true}))]
pub(in crate::http) struct RedeliverRequest {
    /// Of this account.
    account: Option<String>,
    /// That stand so, as in `DeliveryState`.
    state: Option<String>,
    /// Of events from this time on.
    since: Option<String>,
    /// Of events before this time.
    until: Option<String>,
    /// Of events from this position on.
    from: Option<Position>,
    /// Of events up to this position.
    to: Option<Position>,
    /// Whether they are only counted.
    #[serde(default)]
    dry_run: bool,
}

/// Which dead letters, in one of the three ways.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = DeadLetterChoice)]
pub(in crate::http) struct DeadLetterRequest {
    /// Those of the events at these positions.
    #[serde(default)]
    positions: Vec<Position>,
    /// Those of the events up to this position.
    up_to: Option<Position>,
    /// All.
    #[serde(default)]
    all: bool,
    /// Why they are given up; where they are dropped, and only there.
    reason: Option<String>,
}

/// That everything that waits is to be dropped.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Closing, example = json!({"reason": "the receiver is gone for good"}))]
pub(in crate::http) struct CloseRequest {
    /// Why: 1 to 256 bytes of text on one line, which stands in the history for ever. It may be left out of a dry run.
    reason: Option<String>,
    /// Whether it is only counted.
    #[serde(default)]
    dry_run: bool,
}

/// Both webhooks.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Webhooks)]
pub(in crate::http) struct ChannelList {
    /// `sync`, then `register`.
    channels: [ChannelView; 2],
}

/// The secret that signs from now on.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct NewSecret {
    /// `sync` or `register`.
    channel: &'static str,
    /// The secret, which is not shown again.
    secret: String,
}

/// A page of deliveries.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct DeliveryPage {
    /// The latest first.
    deliveries: Vec<DeliveryView>,
    /// What to ask for as `cursor` next; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// A page of dead letters.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DeadLetterPage {
    /// The earliest first.
    dead_letters: Vec<DeadLetterView>,
    /// What to ask for as `cursor` next; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// Handles requests below `/webhooks`.
pub(super) async fn handle(
    state: &ApiState,
    method: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    let webhooks = state.webhooks()?;
    let (query, path): (_, Vec<&str>) = (&context.query, context.path.split('/').skip(1).collect());
    let [name, rest @ ..] = &path[..] else {
        QueryParameters::new(query, &[])?;
        return Ok(json_response(&ChannelList { channels: show_channels(webhooks).await? }));
    };
    let channel = parse_channel(name)?;
    if let ["deliveries"] = rest {
        return list_deliveries(webhooks, channel, query).await;
    }
    let known: &[&str] = if rest == ["dead-letters"] { &["cursor", "limit"] } else { &[] };
    let parameters = QueryParameters::new(query, known)?;
    let requester = || context.authorize().map(Authorization::into_requester_identity);
    match (rest, method) {
        (["dead-letters"], _) => {
            let (cursor, limit) = (parameters.number("cursor")?.unwrap_or(0), parameters.limit()?);
            let ResultsPage { items: dead_letters, next } = webhooks.dead_letters(channel, cursor, limit).await?;
            return Ok(json_response(&DeadLetterPage { dead_letters, next: next.map(|next| next.to_string()) }));
        }
        (["deliveries", position], _) => {
            return Ok(json_response(&webhooks.delivery(channel, parameters.position(position)?).await?));
        }
        (["deliveries", position, _resend], _) => {
            return Ok(json_response(&webhooks.resend(channel, parameters.position(position)?, requester()?).await?));
        }
        (["url"], "PUT") => {
            let SetUrlRequest { url } = parse_body(body, r#"{"url":"https://example.com/status"}"#)?;
            webhooks.set_url(channel, Some(&url), requester()?).await?;
        }
        (["url"], _) => webhooks.set_url(channel, None, requester()?).await?,
        (["secret"], "PUT") => {
            let SetSecretRequest { secret, grace } =
                parse_body_or_default(body, r#"{"secret":"whsec_…","grace":"24h"} or nothing"#)?;
            let secret = webhooks
                .set_secret(
                    channel,
                    secret.as_ref().map(|secret| secret.as_str()),
                    parse_grace(grace.as_deref())?,
                    requester()?,
                )
                .await?;
            return Ok(json_response(&NewSecret { channel: channel.short_name(), secret }));
        }
        (["secret"], _) => webhooks.remove_secrets(channel, requester()?).await?,
        (["app-secret"], "PUT") => {
            let SetAppSecretRequest { tenant_id, secret } = parse_body(body, r#"{"tenantId":"500975","secret":"…"}"#)?;
            webhooks.set_app_secret(channel, Some((&tenant_id, &secret)), requester()?).await?;
        }
        (["app-secret"], _) => webhooks.set_app_secret(channel, None, requester()?).await?,
        (["test"], _) => {
            context.authorize()?;
            return Ok(json_response(&webhooks.test(channel).await?));
        }
        (["pause"], _) => {
            let PauseRequest { reason } = parse_body(body, r#"{"reason":"why"}"#)?;
            webhooks.pause(channel, &reason, requester()?).await?;
        }
        (["resume"], _) => webhooks.resume(channel, requester()?).await?,
        (["close"], _) => {
            let CloseRequest { reason, dry_run } =
                parse_body(body, r#"{"reason":"why","dryRun":true}, or one of these"#)?;
            return Ok(json_response(&webhooks.close(channel, reason.as_deref(), dry_run, requester()?).await?));
        }
        (["redeliver"], _) => return redeliver(webhooks, channel, body, context).await,
        (["dead-letters", what], _) => return process_dead_letters(webhooks, channel, what, body, context).await,
        (_, _) => {}
    }
    Ok(json_response(&webhooks.channel_view(channel).await?))
}

/// The state of both channels.
pub(super) async fn show_channels(webhooks: &Webhooks) -> Result<[ChannelView; 2], Problem> {
    let [sync, register] = Channel::ALL;
    Ok([webhooks.channel_view(sync).await?, webhooks.channel_view(register).await?])
}

async fn list_deliveries(webhooks: &Webhooks, channel: Channel, query: &Query) -> Result<Response, Problem> {
    let parameters = QueryParameters::new(query, &["account", "state", "since", "until", "cursor", "limit"])?;
    let filter = DeliveryFilter {
        account: parameters.account()?,
        state: parameters.text("state").map(parse_state).transpose()?,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        from: None,
        to: None,
    };
    let (cursor, limit) = (parameters.number("cursor")?, parameters.limit()?);
    let ResultsPage { items: deliveries, next } = webhooks.deliveries(channel, filter, cursor, limit).await?;
    Ok(json_response(&DeliveryPage { deliveries, next: next.map(|next| next.to_string()) }))
}

async fn redeliver(
    webhooks: &Webhooks,
    channel: Channel,
    body: &[u8],
    context: &RequestContext,
) -> Result<Response, Problem> {
    let shape = r#"{"account":"…","state":"dead","since":"2026-11-25","until":"…","from":"1","to":"9","dryRun":true}, or some of these"#;
    let RedeliverRequest { account: number, state: name, since, until, from, to, dry_run } = parse_body(body, shape)?;
    let filter = DeliveryFilter {
        account: number.as_deref().map(|number| parse_account("account", number)).transpose()?,
        state: name.as_deref().map(parse_state).transpose()?,
        since: since.as_deref().map(|time| parse_time_parameter("since", time)).transpose()?,
        until: until.as_deref().map(|time| parse_time_parameter("until", time)).transpose()?,
        from: from.map(|from| from.0),
        to: to.map(|to| to.0),
    };
    if filter.is_unfiltered() {
        let words = "asks for everything there ever was; say from which position, or narrow it another way";
        return Err(Problem::invalid_parameter("from", words));
    }
    let requester = context.authorize()?.into_requester_identity();
    Ok(json_response(&webhooks.redeliver(channel, filter, dry_run, requester).await?))
}

async fn process_dead_letters(
    webhooks: &Webhooks,
    channel: Channel,
    what: &str,
    body: &[u8],
    context: &RequestContext,
) -> Result<Response, Problem> {
    let shape = r#"{"positions":["7"]}, {"upTo":"9"} or {"all":true}; to drop them, with "reason":"why""#;
    let DeadLetterRequest { positions, up_to, all, reason } = parse_body(body, shape)?;
    let letters = match (&positions[..], up_to, all) {
        ([_, ..], None, false) => DeadLetterScope::At(positions.iter().map(|position| position.0).collect()),
        ([], Some(up_to), false) => DeadLetterScope::UpTo(up_to.0),
        ([], None, true) => DeadLetterScope::UpTo(u64::MAX),
        _ => return Err(Problem::new(StatusCode::BAD_REQUEST, format!("say which dead letters, in one way: {shape}"))),
    };
    let chosen = match (what, reason) {
        ("drop", Some(reason)) => DeadLetterAction::Drop(reason),
        ("drop", None) => return Err(Problem::invalid_parameter("reason", "is missing; say why they are given up")),
        (_, None) => DeadLetterAction::Replay,
        (_, Some(_)) => return Err(Problem::invalid_parameter("reason", "is for what is dropped; leave it out")),
    };
    let requester = context.authorize()?.into_requester_identity();
    Ok(json_response(&webhooks.process_dead_letters(channel, letters, chosen, requester).await?))
}

/// Parses a channel's short name or configuration id.
fn parse_channel(name: &str) -> Result<Channel, Problem> {
    let channel = Channel::ALL.into_iter().find(|it| it.short_name() == name || it.configuration_id() == name);
    channel.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("there is no webhook {name:?}; there are: sync, register"))
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
    parse_duration(text).ok_or_else(|| Problem::invalid_parameter("grace", "must be a duration, as in 24h or 0s"))
}

/// Parses a JSON body; `shape` is the example that an error shows.
pub(super) fn parse_body<T: DeserializeOwned>(body: &[u8], shape: &str) -> Result<T, Problem> {
    let wrong = || Problem::new(StatusCode::BAD_REQUEST, format!("the body must be one JSON object; send {shape}"));
    // serde would also accept a list, with fields by position.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    // The invalid value may be a secret, so the error names only its place.
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        // An unknown field name may be a secret too, if a caller sends one in its place.
        let field = path.split(['.', '[']).next().unwrap_or_default();
        let place = if shape.contains(&format!("\"{field}\"")) { path } else { "the body".to_owned() };
        let (line, column) = (inner.line(), inner.column());
        let detail = format!("{place} is not as it must be (line {line}, column {column}); send {shape}");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    reader.end().map_err(|_| wrong())?;
    Ok(read)
}

fn parse_body_or_default<T: DeserializeOwned + Default>(body: &[u8], shape: &str) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { parse_body(body, shape) }
}

impl utoipa::PartialSchema for Position {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        let digits = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+$"));
        let words = "A position: a number, or its digits, as answers have it.";
        OneOfBuilder::new().item(number).item(digits).description(Some(words)).into()
    }
}

impl utoipa::ToSchema for Position {}

impl TryFrom<serde_json::Value> for Position {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Position, &'static str> {
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.map(Position).ok_or("a position is a whole number")
    }
}

impl From<ManagementError> for Problem {
    fn from(refused: ManagementError) -> Problem {
        match refused {
            ManagementError::InvalidField { field, words } => Problem::invalid_parameter(field, words),
            ManagementError::NotFound(words) => Problem::new(StatusCode::NOT_FOUND, words),
            ManagementError::Conflict(words) => Problem::new(StatusCode::CONFLICT, words),
            ManagementError::Failed(error) => {
                tracing::error!(%error, "a request about the webhooks failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, problem::INTERNAL_ERROR_DETAIL)
            }
        }
    }
}
