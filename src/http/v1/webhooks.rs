//! The webhooks: channels, their receivers and secrets, deliveries, dead letters.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use warp::http::StatusCode;
use warp::reply::Response;
use zeroize::Zeroizing;

use super::parameters::{Parameters, account, in_time};
use super::problem::Problem;
use super::streams::json;
use super::{Desk, problem};
use crate::config::duration;
use crate::domain::Channel;
use crate::http::requests::Query;
use crate::journal::Asker;
use crate::limits::SECRET_GRACE;
use crate::webhooks::{Asked, Chosen, Letters, Page, Refused, Shown, State, Webhooks};

/// A position: a number, or its digits, as answers have it.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Position(u64);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Url {
    url: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Secret {
    secret: Option<Zeroizing<String>>,
    grace: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AppSecret {
    tenant_id: String,
    secret: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Redelivery {
    account: Option<String>,
    state: Option<String>,
    since: Option<String>,
    until: Option<String>,
    from: Option<Position>,
    to: Option<Position>,
    dry_run: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Choice {
    positions: Vec<Position>,
    up_to: Option<Position>,
    all: bool,
    reason: Option<String>,
}

/// Answers what is below `/webhooks`.
pub(super) async fn answer(
    desk: &Desk,
    method: &str,
    path: &[&str],
    query: &Query,
    body: &[u8],
    asker: Asker,
) -> Result<Response, Problem> {
    let webhooks = desk.webhooks()?;
    let [name, rest @ ..] = path else {
        Parameters::new(query, &[])?;
        return Ok(json(&json!({"channels": channels(webhooks).await?})));
    };
    let channel = channel(name)?;
    if let ["deliveries"] = rest {
        return deliveries(webhooks, channel, query).await;
    }
    let known: &[&str] = if rest == ["dead-letters"] { &["cursor", "limit"] } else { &[] };
    let parameters = Parameters::new(query, known)?;
    match (rest, method) {
        (["dead-letters"], _) => {
            let (cursor, limit) = (parameters.number("cursor")?.unwrap_or(0), parameters.limit()?);
            return Ok(page("deadLetters", &webhooks.letters(channel, cursor, limit).await?));
        }
        (["deliveries", position], _) => {
            return Ok(json(&webhooks.delivery(channel, parameters.position(position)?).await?));
        }
        (["deliveries", position, _resend], _) => {
            return Ok(json(&webhooks.resend(channel, parameters.position(position)?, asker).await?));
        }
        (["url"], "PUT") => {
            let Url { url } = read(body, r#"{"url":"https://example.com/status"}"#)?;
            webhooks.set_url(channel, Some(&url), asker).await?;
        }
        (["url"], _) => webhooks.set_url(channel, None, asker).await?,
        (["secret"], "PUT") => {
            let Secret { secret, grace } = read_or_default(body, r#"{"secret":"whsec_…","grace":"24h"} or nothing"#)?;
            let secret = webhooks
                .set_secret(channel, secret.as_ref().map(|secret| secret.as_str()), grace_of(grace.as_deref())?, asker)
                .await?;
            return Ok(json(&json!({"channel": channel.short_name(), "secret": secret})));
        }
        (["secret"], _) => webhooks.remove_secrets(channel, asker).await?,
        (["app-secret"], "PUT") => {
            let AppSecret { tenant_id, secret } = read(body, r#"{"tenantId":"500975","secret":"…"}"#)?;
            webhooks.set_app_secret(channel, Some((&tenant_id, &secret)), asker).await?;
        }
        (["app-secret"], _) => webhooks.set_app_secret(channel, None, asker).await?,
        (["test"], _) => return Ok(json(&webhooks.test(channel).await?)),
        (["pause"], _) => {
            let Reason { reason } = read(body, r#"{"reason":"why"}"#)?;
            webhooks.pause(channel, &reason, asker).await?;
        }
        (["resume"], _) => webhooks.resume(channel, asker).await?,
        (["redeliver"], _) => return redeliver(webhooks, channel, body, asker).await,
        (["dead-letters", what], _) => return settle_letters(webhooks, channel, what, body, asker).await,
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
    Ok(page("deliveries", &webhooks.deliveries(channel, asked, cursor, limit).await?))
}

async fn redeliver(webhooks: &Webhooks, channel: Channel, body: &[u8], asker: Asker) -> Result<Response, Problem> {
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
    Ok(json(&webhooks.redeliver(channel, asked, dry_run, asker).await?))
}

async fn settle_letters(
    webhooks: &Webhooks,
    channel: Channel,
    what: &str,
    body: &[u8],
    asker: Asker,
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

/// `{"name":[item,item],"next":"…"}`.
fn page<T: serde::Serialize>(name: &str, page: &Page<T>) -> Response {
    json(&json!({name: page.items, "next": page.next.map(|next| next.to_string())}))
}

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
