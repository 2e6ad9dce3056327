//! Webhooks: channels, their receivers and secrets, deliveries, dead letters.

use warp::reply::Response;

use super::json_body::{parse_body, parse_body_or_default};
use super::request_context::RequestContext;
use super::response_body::json_response;
use crate::api::webhooks::{self, DEAD_LETTERS_EXAMPLE};
use crate::api::{ApiState, Problem};
use crate::domain::Channel;

const REDELIVERY_EXAMPLE: &str = r#"{"account":"…","state":"dead","since":"2026-11-25","until":"…","from":"1","to":"9","dryRun":true}, or some of these"#;

/// Handles requests below `/webhooks`.
pub(super) async fn handle(
    api: &ApiState,
    method: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    let call = &context.call;
    api.webhooks()?;
    let path: Vec<&str> = context.path.split('/').skip(1).collect();
    let [name, rest @ ..] = &path[..] else {
        context.parameters(&[])?;
        return Ok(json_response(&webhooks::show_webhooks(api, call).await?));
    };
    let channel = webhooks::parse_channel(name)?;
    match rest {
        ["deliveries"] => return list_deliveries(api, channel, context).await,
        ["dead-letters"] => return list_dead_letters(api, channel, context).await,
        _ => {}
    }
    let parameters = context.parameters(&[])?;
    Ok(match (rest, method) {
        (["deliveries", position], _) => {
            json_response(&webhooks::show_delivery(api, call, channel, parameters.position(position)?).await?)
        }
        (["deliveries", position, _resend], _) => {
            json_response(&webhooks::resend_delivery(api, call, channel, parameters.position(position)?).await?)
        }
        (["url"], "PUT") => {
            let request = parse_body(body, r#"{"url":"https://example.com/status"}"#)?;
            json_response(&webhooks::set_receiver(api, call, channel, Some(request)).await?)
        }
        (["url"], _) => json_response(&webhooks::set_receiver(api, call, channel, None).await?),
        (["secret"], "PUT") => {
            let request = parse_body_or_default(body, r#"{"secret":"whsec_…","grace":"24h"} or nothing"#)?;
            json_response(&webhooks::set_secret(api, call, channel, request).await?)
        }
        (["secret"], _) => json_response(&webhooks::unset_secret(api, call, channel).await?),
        (["app-secret"], "PUT") => {
            let request = parse_body(body, r#"{"tenantId":"500975","secret":"…"}"#)?;
            json_response(&webhooks::set_app_secret(api, call, channel, Some(request)).await?)
        }
        (["app-secret"], _) => json_response(&webhooks::set_app_secret(api, call, channel, None).await?),
        (["test"], _) => json_response(&webhooks::test_receiver(api, call, channel).await?),
        (["pause"], _) => {
            let request = parse_body(body, r#"{"reason":"why"}"#)?;
            json_response(&webhooks::pause_webhook(api, call, channel, request).await?)
        }
        (["resume"], _) => json_response(&webhooks::resume_webhook(api, call, channel).await?),
        (["close"], _) => {
            let request = parse_body(body, r#"{"reason":"why","dryRun":true}, or one of these"#)?;
            json_response(&webhooks::close_webhook(api, call, channel, request).await?)
        }
        (["redeliver"], _) => {
            let request = parse_body(body, REDELIVERY_EXAMPLE)?;
            json_response(&webhooks::redeliver(api, call, channel, request).await?)
        }
        (["dead-letters", "drop"], _) => {
            let request = parse_body(body, DEAD_LETTERS_EXAMPLE)?;
            json_response(&webhooks::drop_dead_letters(api, call, channel, request).await?)
        }
        (["dead-letters", _replay], _) => {
            let request = parse_body(body, DEAD_LETTERS_EXAMPLE)?;
            json_response(&webhooks::replay_dead_letters(api, call, channel, request).await?)
        }
        (_, _) => json_response(&webhooks::show_webhook(api, call, channel).await?),
    })
}

async fn list_deliveries(api: &ApiState, channel: Channel, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["account", "state", "since", "until", "cursor", "limit"])?;
    let filter = webhooks::parse_delivery_filter(&parameters)?;
    let (cursor, limit) = (parameters.number("cursor")?, parameters.limit()?);
    Ok(json_response(&webhooks::list_deliveries(api, &context.call, channel, filter, cursor, limit).await?))
}

async fn list_dead_letters(api: &ApiState, channel: Channel, context: &RequestContext) -> Result<Response, Problem> {
    let parameters = context.parameters(&["cursor", "limit"])?;
    let (cursor, limit) = (parameters.number("cursor")?, parameters.limit()?);
    Ok(json_response(&webhooks::list_dead_letters(api, &context.call, channel, cursor, limit).await?))
}
