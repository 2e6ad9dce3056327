//! An account's proof, verified step by step from the bundle alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use tokio::task::spawn_blocking;

use super::components::{self, event_label, format_count};
use super::layout::{PageContent, PageResponse};
use super::page_request::{ConsolePageRequest, PageError};
use crate::audit::{BundleVerification, IntegrityFault, Signer, VerificationStep, verify_bundle_with};

/// `/accounts/{n}/verify`
pub(super) async fn page(request: &ConsolePageRequest, number: &str) -> Result<PageResponse, PageError> {
    let account = components::parse_account_number(number).ok_or_else(PageError::not_found)?;
    let (bundle, key) =
        (request.get_text(&format!("log/proof/account/{account}")).await?, request.get_text("log/public-key").await?);
    let bytes = bundle.len();
    let checked = spawn_blocking(move || verify_bundle(bundle.as_bytes(), key.trim()));
    let (steps, outcome) = checked.await.map_err(|error| PageError::internal(&error))?;
    let content = html! {
        h1 { "Proof of " (components::account_link(number)) }
        div #steps aria-live="polite" { (verification_result(bytes, &steps, &outcome)) }
    };
    Ok(PageResponse::Page(PageContent { title: format!("Proof of {account}"), nav_path: "/accounts", content }))
}

/// The steps that hold, and the outcome.
fn verify_bundle(bundle: &[u8], key: &str) -> (Vec<VerificationStep>, Result<BundleVerification, IntegrityFault>) {
    let mut steps = Vec::new();
    let outcome = Signer::parse(key)
        .ok_or_else(|| IntegrityFault::new("the log's public key is malformed"))
        .and_then(|signer| verify_bundle_with(bundle, Some(&signer), |step| steps.push(step)));
    (steps, outcome)
}

fn verification_result(
    bytes: usize,
    steps: &[VerificationStep],
    outcome: &Result<BundleVerification, IntegrityFault>,
) -> Markup {
    html! {
        @match outcome {
            Ok(verified) => p.verdict.good role="status" {
                "Verified: " (format_count(verified.events)) " events, whole and unaltered, in a log of " (format_count(verified.log_size)) "."
            },
            Err(fault) => p.verdict.bad role="alert" { "Not verified: " (fault) },
        }
        ol.steps {
            li { "The bundle was read: " (components::format_bytes(bytes as u64)) "." }
            @for step in steps { li { (step_text(step)) } }
        }
    }
}

fn step_text(step: &VerificationStep) -> Markup {
    match step {
        VerificationStep::CheckpointSigned { by, size, root } => html! {
            "The checkpoint is signed by " code { (by) } ": the log has " (format_count(*size)) " events, and its root is "
            code { (STANDARD.encode(root.0)) } "."
        },
        VerificationStep::EventProved { version, position, kind: name, hashes } => html! {
            "Version " (version) ", " (event_label(name)) ": " (hashes) " hashes lead from its bytes at position " (position)
            " to the root, and it follows the version before."
        },
        VerificationStep::HistoryEnded { version, position } => html! {
            "The log has signed that version " (version) " at position " (position) " is the account's last."
        },
    }
}

/// `/accounts/{n}/bundle`
pub(super) async fn download_bundle(request: &ConsolePageRequest, number: &str) -> Result<PageResponse, PageError> {
    let account = components::parse_account_number(number).ok_or_else(PageError::not_found)?;
    let answer = request.get_response(&format!("log/proof/account/{account}"), "application/json").await?;
    components::download_response(answer, &format!("muster-{account}.bundle.json")).map(PageResponse::Raw)
}
