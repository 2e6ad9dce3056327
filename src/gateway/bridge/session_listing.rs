//! Lists all sessions of a gateway, page by page. The result is the complete list or an error.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::command_queue::CommandQueue;
use super::queue_state::PushOutcome;
use super::queued_command::{CommandPayload, QueuedCommand};
use super::sessions::SessionPage;
use crate::clock::Moment;
use crate::domain::AccountNumber;
use crate::gateway::remote_gateway::{GatewaySession, GatewayUnavailable};
use crate::limits::{SESSIONS_LISTED, SESSIONS_PAGE_SIZE, SESSIONS_PAGE_TIMEOUT, SESSIONS_PAGES};
use crate::vault::generate_secret;

/// The command that requests the page after `after`. Its id is random, so that no earlier response matches it.
pub(super) fn list_sessions_command(
    after: Option<AccountNumber>,
    deadline: Moment,
) -> Result<QueuedCommand, GatewayUnavailable> {
    let random = generate_secret().map_err(|error| GatewayUnavailable { reason: error.to_string() })?;
    let number = random.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let id = format!("list_sessions-{number:032x}");
    Ok(QueuedCommand {
        id,
        account: None,
        deadline,
        payload: CommandPayload::ListSessions { after, limit: SESSIONS_PAGE_SIZE },
    })
}

/// A list of sessions that is being collected. Pure.
#[derive(Default)]
pub(super) struct SessionListing {
    sessions: Vec<GatewaySession>,
    pages: usize,
    after: Option<AccountNumber>,
}

impl SessionListing {
    /// The last account of the previous page.
    pub(super) fn after(&self) -> Option<AccountNumber> {
        self.after
    }

    /// Adds a page. Returns whether it was the last. Fails if the list exceeds its limits or is not ordered.
    pub(super) fn add_page(&mut self, SessionPage { sessions, next }: SessionPage) -> Result<bool, GatewayUnavailable> {
        let text = |account: AccountNumber| account.to_string();
        let mut last = self.after.map(text);
        for seen in sessions {
            let account = text(seen.account);
            if last.as_ref().is_some_and(|last| *last >= account) {
                return unavailable(
                    "the gateway's list of sessions is not sorted by account as text, or has an account twice",
                );
            }
            last = Some(account);
            self.sessions.push(seen);
        }
        self.pages += 1;
        if self.sessions.len() > SESSIONS_LISTED || self.pages > SESSIONS_PAGES {
            return unavailable("the gateway's list of sessions does not end");
        }
        let Some(next) = next else { return Ok(true) };
        let advances = last.is_none_or(|last| text(next) >= last) && self.after.is_none_or(|it| text(it) < text(next));
        if !advances {
            return unavailable("the gateway's list of sessions does not advance");
        }
        self.after = Some(next);
        Ok(false)
    }

    /// The collected sessions.
    pub(super) fn into_sessions(self) -> Vec<GatewaySession> {
        self.sessions
    }
}

fn unavailable<T>(why: &str) -> Result<T, GatewayUnavailable> {
    Err(GatewayUnavailable { reason: why.to_owned() })
}

/// Page requests that wait for the response of a gateway which fetches its commands.
#[derive(Default)]
pub(super) struct PendingPages {
    waiting: Mutex<HashMap<String, oneshot::Sender<Result<SessionPage, String>>>>,
}

/// A page request under way. On drop its command is withdrawn.
struct PageRequest<'w> {
    pages: &'w PendingPages,
    queue: &'w Arc<CommandQueue>,
    id: String,
}

impl PendingPages {
    /// Queues a page request, and waits for its response.
    pub(super) async fn request_page(
        &self,
        queue: &Arc<CommandQueue>,
        command: QueuedCommand,
    ) -> Result<SessionPage, GatewayUnavailable> {
        let (sender, receiver) = oneshot::channel();
        let request = PageRequest { pages: self, queue, id: command.id.clone() };
        self.lock().insert(command.id.clone(), sender);
        match queue.push(command) {
            PushOutcome::Added | PushOutcome::Replaced | PushOutcome::Duplicate => {}
            PushOutcome::Superseded | PushOutcome::Full => {
                return unavailable("too many commands wait for the gateway");
            }
        }
        let answer = timeout(SESSIONS_PAGE_TIMEOUT, receiver).await;
        drop(request);
        match answer {
            Ok(Ok(Ok(page))) => Ok(page),
            Ok(Ok(Err(why))) => Err(GatewayUnavailable { reason: why }),
            Ok(Err(_)) => unavailable("the gateway was not called"),
            Err(_) => {
                let seconds = SESSIONS_PAGE_TIMEOUT.as_secs();
                unavailable(&format!(
                    "the gateway did not list its sessions within {seconds} s; check that it fetches its commands"
                ))
            }
        }
    }

    /// Completes the page request with this id, if it still waits.
    pub(super) fn resolve(&self, id: &str, answer: Result<SessionPage, String>) {
        if let Some(waiting) = self.lock().remove(id) {
            let _gone = waiting.send(answer);
        }
    }

    // The map is consistent between any two statements.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Result<SessionPage, String>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PageRequest<'_> {
    fn drop(&mut self) {
        self.pages.lock().remove(&self.id);
        self.queue.withdraw(&self.id, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::remote_gateway::GatewaySessionState;

    #[test]
    fn a_list_is_whole_or_an_error() {
        let number = |text: &str| text.parse::<AccountNumber>().unwrap();
        let page = |(accounts, next): &(&[&str], &str)| SessionPage {
            sessions: accounts
                .iter()
                .map(|it| GatewaySession {
                    account: number(it),
                    session: None,
                    state: GatewaySessionState::Connected,
                    instance_code: String::new(),
                })
                .collect(),
            next: (!next.is_empty()).then(|| number(next)),
        };
        let cases: [&[(&[&str], &str)]; 8] = [
            &[(&[], "")],
            &[(&["10000001", "1000002"], "1000002"), (&["1000003"], "")],
            // An empty page, and another page after it.
            &[(&[], "1000002"), (&["1000003"], "")],
            &[(&["1000002", "10000001"], "")],
            &[(&["1000002", "1000002"], "")],
            &[(&["1000003"], "1000002")],
            &[(&["1000003"], "1000003"), (&["1000003"], "")],
            &[(&["1000003"], "1000003"), (&[], "1000003")],
        ];
        let mut text = String::new();
        for pages in cases {
            let mut listing = SessionListing::default();
            let ends: Result<Vec<bool>, GatewayUnavailable> =
                pages.iter().map(|it| listing.add_page(page(it))).collect();
            let all: Vec<String> = listing.into_sessions().iter().map(|it| it.account.to_string()).collect();
            let outcome = ends.map_or_else(|away| away.reason, |ends| format!("{ends:?} {all:?}"));
            text += &format!("{pages:?}\n  {outcome}\n");
        }
        insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("bridge_listing", text);
        });
    }
}
