//! `muster openapi`.

use super::{Error, output};
use crate::service;

/// Print the description of the API: OpenAPI 3.1, in JSON
///
/// It has every path that `muster serve` answers, and both webhooks that it sends. A running service has it at
/// /openapi.json, and pages that show it at /docs.
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
