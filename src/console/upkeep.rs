//! `/projections` and `/log`: what follows from the journal, and what proves it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::frame::{Answer, Page};
use super::parts::{action, count, time, why_not};
use super::visit::{Trouble, Visit, with_query};
use crate::domain::Need;
use crate::journal::{Root, consistency_holds};

/// `GET /projections`
#[derive(Deserialize)]
struct Found {
    head: Head,
    projections: Vec<Projection>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    position: String,
    moved_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Projection {
    name: String,
    position: String,
    lag: u64,
    rebuilding: Option<Rebuilding>,
    last_rebuild: Option<Rebuilt>,
}

#[derive(Deserialize)]
struct Rebuilding {
    position: String,
    of: String,
}

#[derive(Deserialize)]
struct Rebuilt {
    at: String,
    events: String,
    differences: u64,
}

/// `GET /log/proof/consistency`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    from: String,
    to: String,
    from_root: String,
    to_root: String,
    proof: Vec<String>,
}

/// `/projections`
pub(super) async fn projections(visit: &Visit) -> Result<Answer, Trouble> {
    let found: Found = visit.get("projections").await?;
    let content = html! {
        h1 { "Projections" }
        div #live hx-get="/projections" hx-select="#live" hx-swap="outerHTML" hx-trigger="refresh" data-live {
            p {
                "The journal has " (count(number(&found.head.position))) " events"
                @if let Some(at) = &found.head.moved_at { ", the last one from " (time(at)) } "."
            }
            @for projection in &found.projections { (shown(projection)) }
        }
        @for projection in &found.projections {
            form method="post" action="/projections" {
                input type="hidden" name="projection" value=(projection.name);
                p { (action(visit, Need::Operate, &format!("Rebuild {}", projection.name), None)) }
            }
        }
        (why_not(visit, Need::Operate))
        p.note { "A rebuild folds every event again while the old list goes on serving, and says how many accounts differed." }
    };
    Ok(Answer::Page(Page { title: "Projections".to_owned(), at: "/projections", content }))
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

fn shown(projection: &Projection) -> Markup {
    html! {
        section aria-label=(projection.name) {
            h2 { (projection.name) }
            dl.facts {
                div { dt { "Position" } dd { (count(number(&projection.position))) } }
                div { dt { "Behind by" } dd { (count(projection.lag)) " events" } }
                div { dt { "Last rebuild" } dd { @match &projection.last_rebuild {
                    Some(last) => {
                        (time(&last.at)) ": " (count(number(&last.events))) " events, " (count(last.differences)) " accounts differed"
                    },
                    None => "none since the start",
                } } }
            }
            @if let Some(Rebuilding { position, of }) = &projection.rebuilding {
                p role="status" {
                    label { "Rebuilding: " (count(number(position))) " of " (count(number(of))) " "
                        progress value=(position) max=(of) {} }
                }
            }
        }
    }
}

/// A rebuild is begun.
pub(super) async fn rebuild(visit: &Visit) -> Result<Answer, Trouble> {
    let name = visit.sent("projection").filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()));
    let name = name.ok_or_else(|| Trouble::wrong("Say which projection."))?;
    visit.send("POST", &format!("projections/{name}/rebuild"), &Value::Null).await?;
    Ok(Answer::To("/projections".to_owned()))
}

/// `/log`
pub(super) async fn log(visit: &Visit) -> Result<Answer, Trouble> {
    let (checkpoint, key) = (visit.text("log/checkpoint").await?, visit.text("log/public-key").await?);
    let size = checkpoint.lines().nth(1).unwrap_or_default();
    let (from, to) = (visit.asked("from"), visit.asked("to"));
    let found: Option<Result<Consistency, Trouble>> = match from {
        None => None,
        Some(from) => Some(visit.get(&with_query("log/proof/consistency", &[("from", Some(from)), ("to", to)])).await),
    };
    let content = html! {
        h1 { "Log" }
        section aria-labelledby="checkpoint" {
            h2 #checkpoint { "Checkpoint, as of now" }
            p { "Name, size and root of the log, signed (C2SP checkpoint, RFC 6962 tree). Keep it: a later log must go on from it." }
            pre.lines tabindex="0" role="region" aria-label="The checkpoint" { (checkpoint) }
            p { "Who signs: " code { (key.trim()) } }
        }
        section #consistent aria-labelledby="between" {
            h2 #between { "Is one log the beginning of the other?" }
            form.slider method="get" action="/log#between" {
                label for="from" { "from the size" }
                input #from type="number" name="from" min="1" max=(size) value=(from.unwrap_or("1")) required;
                label for="to" { "to the size" }
                input #to type="number" name="to" min="1" max=(size) value=(to.unwrap_or(size)) required;
                button { "Check" }
            }
            @match &found {
                None => {}
                Some(Err(trouble)) => p.error role="alert" { (trouble.words) },
                Some(Ok(found)) => (consistency(found)),
            }
        }
    };
    Ok(Answer::Page(Page { title: "Log".to_owned(), at: "/log", content }))
}

fn consistency(found: &Consistency) -> Markup {
    let hash = |text: &String| STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    let proof: Option<Vec<[u8; 32]>> = found.proof.iter().map(hash).collect();
    let roots = hash(&found.from_root).zip(hash(&found.to_root));
    let holds = proof.zip(roots).is_some_and(|(proof, roots)| {
        consistency_holds(number(&found.from), Root(roots.0), number(&found.to), Root(roots.1), &proof)
    });
    html! {
        @if holds {
            p.verdict.good role="status" { "It is: of what was in the log at size " (found.from) ", nothing was changed or taken away." }
        } @else {
            p.verdict.bad role="alert" { "The proof does not hold." }
        }
        dl.facts {
            div { dt { "Root at " (found.from) } dd { code { (found.from_root) } } }
            div { dt { "Root at " (found.to) } dd { code { (found.to_root) } } }
        }
        ol.steps { @for hash in &found.proof { li { code { (hash) } } } }
    }
}
