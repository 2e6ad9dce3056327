//! `muster openapi`.

use super::{Error, output};
use crate::service;

/// Print the OpenAPI 3.1 description of the API in JSON
///
/// It has every path that `muster serve` answers, and both webhooks that it sends. A running service serves it at
/// /openapi.json, with pages at /docs.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub(super) struct OpenApiArgs {}

const EXAMPLES: &str = "\
Examples:
  muster openapi > openapi.json
  muster openapi | jq '.paths | keys'

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl OpenApiArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        output::print(&service::description())
    }
}
