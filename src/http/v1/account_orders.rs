//! An operator's orders to bring accounts online or to recycle them.

use warp::reply::Response;

use super::json_body::parse_body;
use super::request_context::RequestContext;
use super::response_body::json_response;
use crate::api::{ApiState, Problem, account_orders};
use crate::domain::AccountOrder;

const BODY_EXAMPLE: &str = r#"{"accounts":["861821726232"],"reason":"maintenance"}"#;

/// `POST /accounts/online` and `POST /accounts/recycle`
pub(super) async fn order_accounts(
    api: &ApiState,
    order: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    context.parameters(&[])?;
    let order = AccountOrder::ALL.into_iter().find(|known| known.name() == order).ok_or_else(Problem::no_such_path)?;
    let request = parse_body(body, BODY_EXAMPLE)?;
    Ok(json_response(&account_orders::order_accounts(api, &context.call, order, request).await?))
}
