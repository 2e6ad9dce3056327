//! An account's proof, verified step by step from the bundle alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use tokio::task::spawn_blocking;

use super::components::{account_link, event_label, format_bytes, format_count};
use super::layout::{PageResponse, PageResult};
use super::page_request::{ConsoleRequest, page_failed, parse_segment};
use crate::api::{AccountSelection, Call, Problem, log_proofs, operation};
use crate::audit::{BundleVerification, IntegrityFault, Signer, VerificationStep, verify_bundle_with};
use crate::domain::AccountNumber;
use crate::http::{JSON, bytes_response};
use crate::limits::PAGE_BUNDLE_BYTES;

/// `/accounts/{n}/verify`
pub(super) async fn page(request: &ConsoleRequest, number: &str) -> PageResult {
    let account: AccountNumber = parse_segment(number)?;
    let call = request.call(operation::SHOW_PUBLIC_KEY)?;
    let key = log_proofs::show_public_key(&call).await?;
    let (bundle, _) = prove_account(request, account).await?;
    let bytes = bundle.len();
    if bytes > PAGE_BUNDLE_BYTES {
        let message =
            format!("the bundle is larger than the {PAGE_BUNDLE_BYTES} bytes that a page can show; use /api/v1");
        return Err(Problem::new(502, message));
    }
    let checked = spawn_blocking(move || verify_bundle(&bundle, key.trim()));
    let (steps, outcome) = checked.await.map_err(|error| page_failed(&error))?;
    let content = html! {
        h1 { "Proof of " (account_link(number)) }
        div #steps aria-live="polite" { (verification_result(bytes, &steps, &outcome)) }
    };
    Ok(PageResponse::page(format!("Proof of {account}"), "/accounts", content))
}

async fn prove_account(request: &ConsoleRequest, account: AccountNumber) -> Result<(Vec<u8>, Call), Problem> {
    let call = request.call_on(operation::PROVE_ACCOUNT, AccountSelection::One(account))?;
    Ok((log_proofs::prove_account(&call, account).await?, call))
}

/// Verifies a bundle: the steps that hold, and the outcome.
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
                "Verified: " (format_count(verified.events)) " events, complete and unchanged, in a log of " (format_count(verified.log_size)) "."
            },
            Err(fault) => p.verdict.bad role="alert" { "Not verified: " (fault) },
        }
        ol.steps {
            li { "Bundle read: " (format_bytes(bytes as u64)) "." }
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
        VerificationStep::EventProved { version, position, kind: name, origin, hashes } => html! {
            "Version " (version) ", " (event_label(name)) " by " (origin) ": " (hashes) " hashes lead from its bytes at position " (position)
            " to the root, and it follows the previous version."
        },
        VerificationStep::HistoryEnded { version, position } => html! {
            "The log has signed that version " (version) " at position " (position) " is the account's last one."
        },
    }
}

/// `/accounts/{n}/bundle`
pub(super) async fn download_bundle(request: &ConsoleRequest, number: &str) -> PageResult {
    let account: AccountNumber = parse_segment(number)?;
    let (bundle, call) = prove_account(request, account).await?;
    let name = format!("muster-{account}.bundle.json");
    Ok(PageResponse::download(bytes_response(JSON, bundle), &name, &call))
}
