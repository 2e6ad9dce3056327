//! Requests about the webhooks.

use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use zeroize::Zeroizing;

/// A position: a number, or a string of digits as in responses.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub struct Position(pub u64);

/// A receiver.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReceiverUrl, example = json!({"url": "https://example.com/status"}))]
pub struct SetUrlRequest {
    /// Its whole URL, `http` or `https`. It must not lead to an address that the guard refuses.
    pub url: String,
}

/// A secret of Standard Webhooks; nothing, or an empty object, for one that is drawn.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WantedSecret, example = json!({"grace": "24h"}))]
pub struct SetSecretRequest {
    /// `whsec_` and 24 to 64 bytes in base64; drawn if it is left out.
    #[schema(value_type = Option<String>)]
    pub secret: Option<Zeroizing<String>>,
    /// How long the secret before signs too, as in `24h` (which holds if it is left out), `0s`; at most 30 days.
    pub grace: Option<String>,
}

/// The secret of the API family's way to sign.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AppSecret, example = json!({"tenantId": "500975", "secret": "f9a40a4780f5e1306c46f1c8daecee3b"}))]
pub struct SetAppSecretRequest {
    /// Who the receiver is to the sender, as both agreed: 1 to 64 letters, digits, dots, dashes, underscores.
    pub tenant_id: String,
    /// 8 to 64 visible ASCII characters.
    #[schema(value_type = String)]
    pub secret: Zeroizing<String>,
}

/// Why something is done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reason, example = json!({"reason": "maintenance"}))]
pub struct PauseRequest {
    /// 1 to 256 bytes of text on one line, which stands in the history for ever.
    pub reason: String,
}

/// Which deliveries are to be sent again; at least one field but `dryRun`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Redelivery, example = json!({"state": "dead", "since": "2026-11-25", "dryRun": true}))]
pub struct RedeliverRequest {
    /// Of this account.
    pub account: Option<String>,
    /// That stand so, as in `DeliveryState`.
    pub state: Option<String>,
    /// Of events from this time on.
    pub since: Option<String>,
    /// Of events before this time.
    pub until: Option<String>,
    /// Of events from this position on.
    pub from: Option<Position>,
    /// Of events up to this position.
    pub to: Option<Position>,
    /// Whether they are only counted.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which dead letters, in one of the three ways.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = DeadLetterChoice)]
pub struct DeadLetterRequest {
    /// Those of the events at these positions.
    #[serde(default)]
    pub positions: Vec<Position>,
    /// Those of the events up to this position.
    pub up_to: Option<Position>,
    /// All.
    #[serde(default)]
    pub all: bool,
    /// Why they are given up; where they are dropped, and only there.
    pub reason: Option<String>,
}

/// That everything that waits is to be dropped.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Closing, example = json!({"reason": "the receiver is gone for good"}))]
pub struct CloseRequest {
    /// Why: 1 to 256 bytes of text on one line, which stands in the history for ever. It may be left out of a dry run.
    pub reason: Option<String>,
    /// Whether it is only counted.
    #[serde(default)]
    pub dry_run: bool,
}

impl PartialSchema for Position {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        let digits = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+$"));
        let words = "A position: a number, or its digits, as answers have it.";
        OneOfBuilder::new().item(number).item(digits).description(Some(words)).into()
    }
}

impl ToSchema for Position {}

impl TryFrom<serde_json::Value> for Position {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Position, &'static str> {
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.map(Position).ok_or("a position is a whole number")
    }
}
