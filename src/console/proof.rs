//! An account's proof, checked before the reader's eyes, step by step, with what the file alone says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use tokio::task::spawn_blocking;

use super::frame::{Answer, Page};
use super::parts::{self, count, kind};
use super::visit::{Trouble, Visit};
use crate::audit::{Fault, Shown, Signer, Step, verify_bundle_by_steps};

/// `/accounts/{n}/verify`
pub(super) async fn page(visit: &Visit, number: &str) -> Result<Answer, Trouble> {
    let account = parts::number(number).ok_or_else(Trouble::no_page)?;
    let (bundle, key) =
        (visit.text(&format!("log/proof/account/{account}")).await?, visit.text("log/public-key").await?);
    let bytes = bundle.len();
    let checked = spawn_blocking(move || check(bundle.as_bytes(), key.trim()));
    let (steps, outcome) = checked.await.map_err(|error| Trouble::inside(&error))?;
    let content = html! {
        h1 { "Proof of " (parts::account(number)) }
        div #steps aria-live="polite" { (shown(bytes, &steps, &outcome)) }
    };
    Ok(Answer::Page(Page { title: format!("Proof of {account}"), at: "/accounts", content }))
}

/// The steps that hold, and how it ends.
fn check(bundle: &[u8], key: &str) -> (Vec<Step>, Result<Shown, Fault>) {
    let mut steps = Vec::new();
    let outcome = Signer::parse(key)
        .ok_or_else(|| Fault::new("the log's public key is malformed"))
        .and_then(|signer| verify_bundle_by_steps(bundle, Some(&signer), |step| steps.push(step)));
    (steps, outcome)
}

fn shown(bytes: usize, steps: &[Step], outcome: &Result<Shown, Fault>) -> Markup {
    html! {
        @match outcome {
            Ok(shown) => p.verdict.good role="status" {
                "Verified: " (count(shown.events)) " events, whole and unaltered, in a log of " (count(shown.log_size)) "."
            },
            Err(fault) => p.verdict.bad role="alert" { "Not verified: " (fault) },
        }
        ol.steps {
            li { "The bundle was read: " (parts::bytes(bytes as u64)) "." }
            @for step in steps { li { (words(step)) } }
        }
    }
}

fn words(step: &Step) -> Markup {
    match step {
        Step::Signed { by, size, root } => html! {
            "The checkpoint is signed by " code { (by) } ": the log has " (count(*size)) " events, and its root is "
            code { (STANDARD.encode(root.0)) } "."
        },
        Step::Proved { version, position, kind: name, hashes } => html! {
            "Version " (version) ", " (kind(name)) ": " (hashes) " hashes lead from its bytes at position " (position)
            " to the root, and it follows the version before."
        },
        Step::Ended { version, position } => html! {
            "The log has signed that version " (version) " at position " (position) " is the account's last."
        },
    }
}

/// `/accounts/{n}/bundle`
pub(super) async fn download(visit: &Visit, number: &str) -> Result<Answer, Trouble> {
    let account = parts::number(number).ok_or_else(Trouble::no_page)?;
    let answer = visit.open(&format!("log/proof/account/{account}"), "application/json").await?;
    parts::passed_on(answer, &format!("muster-{account}.bundle.json")).map(Answer::Other)
}
