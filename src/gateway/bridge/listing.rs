//! All sessions that a gateway has, page by page: all of them, or an error.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::line::Line;
use super::orders::{Order, Wish};
use super::queue::Queued;
use super::sessions::SessionPage;
use crate::clock::Moment;
use crate::domain::AccountNumber;
use crate::gateway::way::{Away, Seen};
use crate::limits::{SESSIONS_LISTED, SESSIONS_PAGE, SESSIONS_PAGES, SESSIONS_WITHIN};
use crate::vault::draw_secret;

/// The question for the page behind `after`. Its id is drawn, because an answer of before is none of now.
pub(super) fn question(after: Option<AccountNumber>, deadline: Moment) -> Result<Order, Away> {
    let drawn = draw_secret().map_err(|error| Away { why: error.to_string() })?;
    let number = drawn.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let id = format!("list_sessions-{number:032x}");
    Ok(Order { id, account: None, deadline, wish: Wish::ListSessions { after, limit: SESSIONS_PAGE } })
}

/// A list in the making. Pure.
#[derive(Default)]
pub(super) struct Listing {
    seen: Vec<Seen>,
    pages: usize,
    after: Option<AccountNumber>,
}

impl Listing {
    /// The last account of the page before.
    pub(super) fn after(&self) -> Option<AccountNumber> {
        self.after
    }

    /// Takes a page. Says whether it was the last one; an error if the list never ends, or is in no order.
    pub(super) fn take(&mut self, SessionPage { sessions, next }: SessionPage) -> Result<bool, Away> {
        let text = |account: AccountNumber| account.to_string();
        let mut last = self.after.map(text);
        for seen in sessions {
            let account = text(seen.account);
            if last.as_ref().is_some_and(|last| *last >= account) {
                return away("the gateway's list of sessions is not ordered by account as text, each account once");
            }
            last = Some(account);
            self.seen.push(seen);
        }
        self.pages += 1;
        if self.seen.len() > SESSIONS_LISTED || self.pages > SESSIONS_PAGES {
            return away("the gateway's list of sessions does not end");
        }
        let Some(next) = next else { return Ok(true) };
        let is_behind = last.is_none_or(|last| text(next) >= last) && self.after.is_none_or(|it| text(it) < text(next));
        if !is_behind {
            return away("the gateway's list of sessions goes on before its own end");
        }
        self.after = Some(next);
        Ok(false)
    }

    /// All that was seen.
    pub(super) fn all(self) -> Vec<Seen> {
        self.seen
    }
}

fn away<T>(why: &str) -> Result<T, Away> {
    Err(Away { why: why.to_owned() })
}

/// Questions that a gateway fetches, and that somebody waits for the answers of.
#[derive(Default)]
pub(super) struct Waiters {
    waiting: Mutex<HashMap<String, oneshot::Sender<Result<SessionPage, String>>>>,
}

/// A question while somebody waits for its answer; taken back when nobody does.
struct Question<'w> {
    waiters: &'w Waiters,
    line: &'w Arc<Line>,
    id: String,
}

impl Waiters {
    /// Puts a question into the line, and waits for its answer.
    pub(super) async fn ask(&self, line: &Arc<Line>, order: Order) -> Result<SessionPage, Away> {
        let (answer, answered) = oneshot::channel();
        let question = Question { waiters: self, line, id: order.id.clone() };
        self.lock().insert(order.id.clone(), answer);
        match line.push(order) {
            Queued::Added | Queued::Replaced | Queued::Known => {}
            Queued::Outdated | Queued::Full => return away("too many commands wait for the gateway"),
        }
        let answered = timeout(SESSIONS_WITHIN, answered).await;
        drop(question);
        match answered {
            Ok(Ok(Ok(page))) => Ok(page),
            Ok(Ok(Err(why))) => Err(Away { why }),
            Ok(Err(_)) => away("the gateway was not asked"),
            Err(_) => {
                let seconds = SESSIONS_WITHIN.as_secs();
                away(&format!("the gateway did not tell its sessions within {seconds} s; it may not fetch its work"))
            }
        }
    }

    /// Answers the question of this id, if anybody still waits.
    pub(super) fn answer(&self, id: &str, answer: Result<SessionPage, String>) {
        if let Some(waiting) = self.lock().remove(id) {
            let _gone = waiting.send(answer);
        }
    }

    /// What is in it is whole between any two lines.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Result<SessionPage, String>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.waiters.lock().remove(&self.id);
        self.line.withdraw(&self.id, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::way::SeenState;

    #[test]
    fn a_list_is_whole_or_an_error() {
        let number = |text: &str| text.parse::<AccountNumber>().unwrap();
        let page = |(accounts, next): &(&[&str], &str)| SessionPage {
            sessions: accounts
                .iter()
                .map(|it| Seen {
                    account: number(it),
                    session: None,
                    state: SeenState::Connected,
                    instance_code: String::new(),
                })
                .collect(),
            next: (!next.is_empty()).then(|| number(next)),
        };
        let cases: [&[(&[&str], &str)]; 8] = [
            &[(&[], "")],
            &[(&["10000001", "1000002"], "1000002"), (&["1000003"], "")],
            // A page may be empty though there is more.
            &[(&[], "1000002"), (&["1000003"], "")],
            &[(&["1000002", "10000001"], "")],
            &[(&["1000002", "1000002"], "")],
            &[(&["1000003"], "1000002")],
            &[(&["1000003"], "1000003"), (&["1000003"], "")],
            &[(&["1000003"], "1000003"), (&[], "1000003")],
        ];
        let mut text = String::new();
        for pages in cases {
            let mut listing = Listing::default();
            let taken: Result<Vec<bool>, Away> = pages.iter().map(|it| listing.take(page(it))).collect();
            let all: Vec<String> = listing.all().iter().map(|it| it.account.to_string()).collect();
            let said = taken.map_or_else(|away| away.why, |ends| format!("{ends:?} {all:?}"));
            text += &format!("{pages:?}\n  {said}\n");
        }
        insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("bridge_listing", text);
        });
    }
}
