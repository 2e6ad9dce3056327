//! `/projections` and `/log`: the projections of the journal, and the proofs of the log.

use maud::{Markup, html};

use super::components::{error_note, format_count, format_position, live_part, time_element};
use super::forms::{action_button, permission_note};
use super::layout::{PageResponse, PageResult};
use super::page_request::ConsoleRequest;
use crate::api::maintenance::{self, ProjectionView, RebuildProgress};
use crate::api::{Problem, log_proofs, operation};
use crate::audit::{CheckpointCheck, CheckpointVerdict, ConsistencyProof};
use crate::domain::Permission;
use crate::journal::verify_consistency;
use crate::limits::CHECKPOINT_BYTES;

/// `/projections`
pub(super) async fn projections_page(request: &ConsoleRequest) -> PageResult {
    let call = request.call(operation::SHOW_PROJECTIONS)?;
    let found = maintenance::show_projections(&call).await?;
    let content = html! {
        h1 { "Projections" }
        (live_part("live", "/projections", html! {
            p {
                "The journal has " (format_position(&found.head.position)) " events"
                @if let Some(at) = &found.head.moved_at { ", the last one at " (time_element(at)) } "."
            }
            @for projection in &found.projections { (projection_section(projection)) }
        }))
        @for projection in &found.projections {
            form method="post" action="/projections" {
                input type="hidden" name="projection" value=(projection.name);
                p { (action_button(request, Permission::Operate, &format!("Rebuild {}", projection.name), None)) }
            }
        }
        (permission_note(request, Permission::Operate))
        p.note { "A rebuild folds all events again while the current list is still served. Then it shows how many accounts differed." }
    };
    Ok(PageResponse::page("Projections", "/projections", content))
}

fn projection_section(projection: &ProjectionView) -> Markup {
    html! {
        section aria-label=(projection.name) {
            h2 { (projection.name) }
            dl.facts {
                div { dt { "Position" } dd { (format_position(&projection.position)) } }
                div { dt { "Lag" } dd { (format_count(projection.lag)) " events" } }
                div { dt { "Last rebuild" } dd { @match &projection.last_rebuild {
                    Some(last) => {
                        (time_element(&last.at)) ": " (format_position(&last.events)) " events, " (format_count(last.differences)) " accounts differed"
                    },
                    None => "none since the start",
                } } }
            }
            @if let Some(RebuildProgress { position, of }) = &projection.rebuilding {
                p role="status" {
                    label { "Rebuilding: " (format_position(position)) " of " (format_position(of)) " "
                        progress value=(position) max=(of) {} }
                }
            }
        }
    }
}

/// Starts a rebuild.
pub(super) async fn submit_rebuild(request: &ConsoleRequest) -> PageResult {
    let name = request.form_value("projection");
    let name = name.ok_or_else(|| Problem::malformed("Say which projection."))?;
    let call = request.call(operation::REBUILD_PROJECTION)?;
    maintenance::rebuild_projection(&call, name).await?;
    Ok(PageResponse::Redirect("/projections".to_owned()))
}

/// `/log`
pub(super) async fn log_page(request: &ConsoleRequest) -> PageResult {
    let call = |operation| request.call(operation);
    let checkpoint = log_proofs::show_checkpoint(&call(operation::SHOW_CHECKPOINT)?).await?;
    let key = log_proofs::show_public_key(&call(operation::SHOW_PUBLIC_KEY)?).await?;
    let size = checkpoint.lines().nth(1).unwrap_or_default();
    let (from, to) = (request.query_value("from"), request.query_value("to"));
    let found = match from {
        None => None,
        Some(_) => Some(prove_consistency(request).await),
    };
    let kept = request.query_value("checkpoint");
    let checked = match kept {
        None => None,
        Some(note) => Some(log_proofs::check_checkpoint(&call(operation::CHECK_CHECKPOINT)?, note.to_owned()).await),
    };
    let content = html! {
        h1 { "Log" }
        section aria-labelledby="checkpoint" {
            h2 #checkpoint { "Current checkpoint" }
            p { "Name, size and root of the log, signed (C2SP checkpoint, RFC 6962 tree). Keep it where this service cannot reach it, and compare it with the log later." }
            pre.lines tabindex="0" role="region" aria-label="The checkpoint" { (checkpoint) }
            p { "Public key: " code { (key.trim()) } }
        }
        section aria-labelledby="kept" {
            h2 #kept { "Compare a checkpoint that you kept" }
            form method="get" action="/log#kept" {
                label for="kept-checkpoint" { "Kept checkpoint" }
                textarea #kept-checkpoint name="checkpoint" rows="6" maxlength=(CHECKPOINT_BYTES) spellcheck="false" required
                    placeholder="Paste the whole text, with its signature" data-drop {
                        (kept.unwrap_or_default())
                    }
                p data-file hidden {
                    label for="checkpoint-file" { "or a file, which can also be dropped above " }
                    input #checkpoint-file type="file";
                }
                p { button { "Compare" } }
            }
            @match &checked {
                None => {}
                Some(Err(error)) => (error_note(error)),
                Some(Ok(result)) => (checkpoint_result(result)),
            }
            p.note {
                "This is the service's own verdict. An auditor who does not trust the service runs " code { "muster verify --checkpoint" }
                " with the public key above, which verifies the proofs itself."
            }
        }
        section #consistent aria-labelledby="between" {
            h2 #between { "Show the roots at two sizes" }
            form.slider method="get" action="/log#between" {
                label for="from" { "from size" }
                input #from type="number" name="from" min="1" max=(size) value=(from.unwrap_or("1")) required;
                label for="to" { "to size" }
                input #to type="number" name="to" min="1" max=(size) value=(to.unwrap_or(size)) required;
                button { "Check" }
            }
            @match &found {
                None => {}
                Some(Err(error)) => (error_note(error)),
                Some(Ok(found)) => (consistency_result(found)),
            }
        }
    };
    Ok(PageResponse::page("Log", "/log", content))
}

async fn prove_consistency(request: &ConsoleRequest) -> Result<ConsistencyProof, Problem> {
    let parameters = request.parameters(&["from", "to"]);
    let (from, to) = (parameters.required_number("from")?, parameters.number("to")?);
    let call = request.call(operation::PROVE_CONSISTENCY)?;
    log_proofs::prove_consistency(&call, from, to).await
}

fn checkpoint_result(result: &CheckpointCheck) -> Markup {
    let facts = [
        ("Size of the checkpoint", &result.size),
        ("Its root", &result.root),
        ("Root of this log at that size", &result.log_root),
        ("Size of this log", &result.log_size),
    ];
    html! {
        @if result.verdict == CheckpointVerdict::SameLog {
            p.verdict.good role="status" { (result.sentence) }
        } @else {
            p.verdict.bad role="alert" { (result.sentence) }
        }
        dl.facts {
            @for (name, value) in facts {
                @if let Some(value) = value { div { dt { (name) } dd { code { (value) } } } }
            }
        }
    }
}

fn consistency_result(found: &ConsistencyProof) -> Markup {
    let (from, to) = (found.from.parse().unwrap_or(0), found.to.parse().unwrap_or(0));
    let proved = (found.parse_from_root(), found.parse_to_root(), found.parse_hashes());
    let holds = matches!(proved, (Some(before), Some(after), Some(hashes))
        if verify_consistency(from, before, to, after, &hashes));
    html! {
        @if holds {
            p.verdict.good role="status" {
                "The tree with the first root is the beginning of the tree with the second. Compare the roots with those that you kept: the sizes alone prove nothing."
            }
        } @else {
            p.verdict.bad role="alert" { "The proof is invalid." }
        }
        dl.facts {
            div { dt { "Root at " (found.from) } dd { code { (found.from_root) } } }
            div { dt { "Root at " (found.to) } dd { code { (found.to_root) } } }
        }
        ol.steps { @for hash in &found.proof { li { code { (hash) } } } }
    }
}
