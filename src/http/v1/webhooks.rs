//! The webhooks: channels, their receivers and secrets, deliveries, dead letters.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use warp::http::StatusCode;
use warp::reply::Response;
use zeroize::Zeroizing;

use super::context::Context;
use super::parameters::{Parameters, account, in_time};
use super::problem::Problem;
use super::streams::json;
use super::{Desk, problem};
use crate::access::Authorized;
use crate::config::duration;
use crate::domain::Channel;
use crate::http::requests::Query;
use crate::limits::SECRET_GRACE;
use crate::webhooks::{Asked, Chosen, DeliveryView, LetterView, Letters, Page, Refused, Shown, State, Webhooks};

/// A position: a number, or its digits, as answers have it.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(in crate::http) struct Position(u64);

/// A receiver.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReceiverUrl, example = json!({"url": "https://example.com/status"}))]
pub(in crate::http) struct Url {
    /// Its whole URL, `http` or `https`. It must not lead to an address that the guard refuses.
    url: String,
}

/// A secret of Standard Webhooks; nothing, or an empty object, for one that is drawn.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WantedSecret, example = json!({"grace": "24h"}))]
pub(in crate::http) struct Secret {
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
pub(in crate::http) struct AppSecret {
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
pub(in crate::http) struct Reason {
    /// 1 to 256 bytes of text on one line, which stands in the history for ever.
    reason: String,
}

/// Which deliveries are to be sent again; at least one field but `dryRun`.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Redelivery, example = json!({"state": "dead", "since": "2026-11-25", "dryRun": true}))]
pub(in crate::http) struct Redelivery {
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
pub(in crate::http) struct Choice {
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
pub(in crate::http) struct Closing {
    /// Why: 1 to 256 bytes of text on one line, which stands in the history for ever. It may be left out of a dry run.
    reason: Option<String>,
    /// Whether it is only counted.
    #[serde(default)]
    dry_run: bool,
}

/// Both webhooks.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Webhooks)]
pub(in crate::http) struct Channels {
    /// `sync`, then `register`.
    channels: [Shown; 2],
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
    dead_letters: Vec<LetterView>,
    /// What to ask for as `cursor` next; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// Answers what is below `/webhooks`.
pub(super) async fn answer(desk: &Desk, method: &str, context: &Context, body: &[u8]) -> Result<Response, Problem> {
    let webhooks = desk.webhooks()?;
    let (query, path): (_, Vec<&str>) = (&context.query, context.path.split('/').skip(1).collect());
    let [name, rest @ ..] = &path[..] else {
        Parameters::new(query, &[])?;
        return Ok(json(&Channels { channels: channels(webhooks).await? }));
    };
    let channel = channel(name)?;
    if let ["deliveries"] = rest {
        return deliveries(webhooks, channel, query).await;
    }
    let known: &[&str] = if rest == ["dead-letters"] { &["cursor", "limit"] } else { &[] };
    let parameters = Parameters::new(query, known)?;
    let asker = || context.authorize().map(Authorized::into_asker);
    match (rest, method) {
        (["dead-letters"], _) => {
            let (cursor, limit) = (parameters.number("cursor")?.unwrap_or(0), parameters.limit()?);
            let Page { items: dead_letters, next } = webhooks.letters(channel, cursor, limit).await?;
            return Ok(json(&DeadLetterPage { dead_letters, next: next.map(|next| next.to_string()) }));
        }
        (["deliveries", position], _) => {
            return Ok(json(&webhooks.delivery(channel, parameters.position(position)?).await?));
        }
        (["deliveries", position, _resend], _) => {
            return Ok(json(&webhooks.resend(channel, parameters.position(position)?, asker()?).await?));
        }
        (["url"], "PUT") => {
            let Url { url } = read(body, r#"{"url":"https://example.com/status"}"#)?;
            webhooks.set_url(channel, Some(&url), asker()?).await?;
        }
        (["url"], _) => webhooks.set_url(channel, None, asker()?).await?,
        (["secret"], "PUT") => {
            let Secret { secret, grace } = read_or_default(body, r#"{"secret":"whsec_…","grace":"24h"} or nothing"#)?;
            let secret = webhooks
                .set_secret(
                    channel,
                    secret.as_ref().map(|secret| secret.as_str()),
                    grace_of(grace.as_deref())?,
                    asker()?,
                )
                .await?;
            return Ok(json(&NewSecret { channel: channel.short_name(), secret }));
        }
        (["secret"], _) => webhooks.remove_secrets(channel, asker()?).await?,
        (["app-secret"], "PUT") => {
            let AppSecret { tenant_id, secret } = read(body, r#"{"tenantId":"500975","secret":"…"}"#)?;
            webhooks.set_app_secret(channel, Some((&tenant_id, &secret)), asker()?).await?;
        }
        (["app-secret"], _) => webhooks.set_app_secret(channel, None, asker()?).await?,
        (["test"], _) => {
            context.authorize()?;
            return Ok(json(&webhooks.test(channel).await?));
        }
        (["pause"], _) => {
            let Reason { reason } = read(body, r#"{"reason":"why"}"#)?;
            webhooks.pause(channel, &reason, asker()?).await?;
        }
        (["resume"], _) => webhooks.resume(channel, asker()?).await?,
        (["close"], _) => {
            let Closing { reason, dry_run } = read(body, r#"{"reason":"why","dryRun":true}, or one of these"#)?;
            return Ok(json(&webhooks.close(channel, reason.as_deref(), dry_run, asker()?).await?));
        }
        (["redeliver"], _) => return redeliver(webhooks, channel, body, context).await,
        (["dead-letters", what], _) => return settle_letters(webhooks, channel, what, body, context).await,
        (_, _) => {}
    }
    Ok(json(&webhooks.show(channel).await?))
}

/// How each channel is.
pub(super) async fn channels(webhooks: &Webhooks) -> Result<[Shown; 2], Problem> {
    let [sync, register] = Channel::ALL;
    Ok([webhooks.show(sync).await?, webhooks.show(register).await?])
}

async fn deliveries(webhooks: &Webhooks, channel: Channel, query: &Query) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["account", "state", "since", "until", "cursor", "limit"])?;
    let asked = Asked {
        account: parameters.account()?,
        state: parameters.text("state").map(state).transpose()?,
        since: parameters.time("since")?,
        until: parameters.time("until")?,
        from: None,
        to: None,
    };
    let (cursor, limit) = (parameters.number("cursor")?, parameters.limit()?);
    let Page { items: deliveries, next } = webhooks.deliveries(channel, asked, cursor, limit).await?;
    Ok(json(&DeliveryPage { deliveries, next: next.map(|next| next.to_string()) }))
}

async fn redeliver(webhooks: &Webhooks, channel: Channel, body: &[u8], context: &Context) -> Result<Response, Problem> {
    let shape = r#"{"account":"…","state":"dead","since":"2026-11-25","until":"…","from":"1","to":"9","dryRun":true}, or some of these"#;
    let Redelivery { account: number, state: name, since, until, from, to, dry_run } = read(body, shape)?;
    let asked = Asked {
        account: number.as_deref().map(|number| account("account", number)).transpose()?,
        state: name.as_deref().map(state).transpose()?,
        since: since.as_deref().map(|time| in_time("since", time)).transpose()?,
        until: until.as_deref().map(|time| in_time("until", time)).transpose()?,
        from: from.map(|from| from.0),
        to: to.map(|to| to.0),
    };
    if asked.is_everything() {
        let words = "asks for everything there ever was; say from which position, or narrow it another way";
        return Err(Problem::parameter("from", words));
    }
    let asker = context.authorize()?.into_asker();
    Ok(json(&webhooks.redeliver(channel, asked, dry_run, asker).await?))
}

async fn settle_letters(
    webhooks: &Webhooks,
    channel: Channel,
    what: &str,
    body: &[u8],
    context: &Context,
) -> Result<Response, Problem> {
    let shape = r#"{"positions":["7"]}, {"upTo":"9"} or {"all":true}; to drop them, with "reason":"why""#;
    let Choice { positions, up_to, all, reason } = read(body, shape)?;
    let letters = match (&positions[..], up_to, all) {
        ([_, ..], None, false) => Letters::At(positions.iter().map(|position| position.0).collect()),
        ([], Some(up_to), false) => Letters::UpTo(up_to.0),
        ([], None, true) => Letters::UpTo(u64::MAX),
        _ => return Err(Problem::new(StatusCode::BAD_REQUEST, format!("say which dead letters, in one way: {shape}"))),
    };
    let chosen = match (what, reason) {
        ("drop", Some(reason)) => Chosen::Drop(reason),
        ("drop", None) => return Err(Problem::parameter("reason", "is missing; say why they are given up")),
        (_, None) => Chosen::Replay,
        (_, Some(_)) => return Err(Problem::parameter("reason", "is for what is dropped; leave it out")),
    };
    let asker = context.authorize()?.into_asker();
    Ok(json(&webhooks.settle_letters(channel, letters, chosen, asker).await?))
}

/// A channel by its short name, or by its configuration id.
fn channel(name: &str) -> Result<Channel, Problem> {
    let channel = Channel::ALL.into_iter().find(|it| it.short_name() == name || it.configuration_id() == name);
    channel.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("there is no webhook {name:?}; there are: sync, register"))
    })
}

fn state(name: &str) -> Result<State, Problem> {
    State::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| {
        let known = State::ALL.map(State::name).join(", ");
        Problem::parameter("state", format_args!("must be one of {known}, not {name:?}"))
    })
}

fn grace_of(text: Option<&str>) -> Result<Duration, Problem> {
    let Some(text) = text else { return Ok(SECRET_GRACE) };
    duration(text).ok_or_else(|| Problem::parameter("grace", "must be a duration, as in 24h or 0s"))
}

/// A body, which is of this shape.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], shape: &str) -> Result<T, Problem> {
    let wrong = || Problem::new(StatusCode::BAD_REQUEST, format!("the body must be one JSON object; send {shape}"));
    // A list would do for serde, and say which field is which by its place alone.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    // What is at fault may be a secret, so its place is told and not what stands there.
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        // So may a name that is none of the fields': where a secret stands alone, it is taken for one.
        let field = path.split(['.', '[']).next().unwrap_or_default();
        let place = if shape.contains(&format!("\"{field}\"")) { path } else { "the body".to_owned() };
        let (line, column) = (inner.line(), inner.column());
        let detail = format!("{place} is not as it must be (line {line}, column {column}); send {shape}");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    reader.end().map_err(|_| wrong())?;
    Ok(read)
}

fn read_or_default<T: DeserializeOwned + Default>(body: &[u8], shape: &str) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { read(body, shape) }
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

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        match refused {
            Refused::Field { field, words } => Problem::parameter(field, words),
            Refused::NotFound(words) => Problem::new(StatusCode::NOT_FOUND, words),
            Refused::Conflict(words) => Problem::new(StatusCode::CONFLICT, words),
            Refused::Failed(error) => {
                tracing::error!(%error, "a request about the webhooks failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, problem::INSIDE)
            }
        }
    }
}
