//! The sessions of the console. After one sign-in with an API key the browser has a session cookie, so it need not store
//! the key.
//!
//! Sessions are in memory only: a restart ends all sessions, and nothing on the disk gives access.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::key_text;
use crate::limits::{CONSOLE_SESSION_IDLE, CONSOLE_SESSION_LIFETIME, CONSOLE_SESSIONS, CONSOLE_SESSIONS_PER_KEY};
use crate::vault;

/// The open sessions, by the hash of the text in their cookie. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct ConsoleSessions {
    open: Arc<DashMap<[u8; 32], ConsoleSession>>,
}

#[derive(Clone)]
struct ConsoleSession {
    /// The number of the API key.
    key_id: u64,
    started: Instant,
    last_used: Instant,
    /// Cancelled when the session is dropped: at sign-out, by eviction, or when it is found to be idle.
    ended: CancellationToken,
}

/// Tells when a session ends, for work that takes long, such as a stream. Cheap to clone.
#[derive(Clone)]
pub(super) struct SessionExpiry {
    ended: CancellationToken,
    /// The end of the longest lifetime.
    latest: Instant,
}

impl SessionExpiry {
    /// Whether the session has ended.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_cancelled() || Instant::now() >= self.latest
    }

    /// Waits until the session ends or `other` completes, whichever is first.
    pub(super) async fn wait_or(self, other: impl Future<Output = ()>) {
        let _either = timeout_at(self.latest, self.ended.run_until_cancelled(other)).await;
    }
}

impl ConsoleSessions {
    /// Begins a session for a key, and returns the text for its cookie. If there are too many sessions, the least
    /// recently used one ends.
    pub(super) fn sign_in(&self, key_id: u64, now: Instant) -> Result<Zeroizing<String>, vault::Error> {
        self.open.retain(|_, session| session.is_active(now));
        let own = self.open.iter().filter(|session| session.value().key_id == key_id).count();
        if own >= CONSOLE_SESSIONS_PER_KEY {
            self.evict_least_recently_used(|session| session.key_id == key_id);
        } else if self.open.len() >= CONSOLE_SESSIONS {
            self.evict_least_recently_used(|_| true);
        }
        let generated = vault::generate_secret()?;
        self.open.insert(
            key_text::hash_secret(&generated),
            ConsoleSession { key_id, started: now, last_used: now, ended: CancellationToken::new() },
        );
        Ok(key_text::encode_secret(&generated))
    }

    /// Ends the least recently used session that matches.
    fn evict_least_recently_used(&self, matches: impl Fn(&ConsoleSession) -> bool) {
        let matching = self.open.iter().filter(|session| matches(session.value()));
        let hash = matching.min_by_key(|session| session.last_used).map(|session| *session.key());
        if let Some(hash) = hash {
            self.remove(&hash);
        }
    }

    /// The number of a session's key, and the session's end; `None` if the session is unknown or has ended. `is_use`
    /// extends the session. It is false for requests that a page makes by itself.
    pub(super) fn find(&self, text: &str, is_use: bool, now: Instant) -> Option<(u64, SessionExpiry)> {
        let hash = key_text::hash_encoded_secret(text)?;
        let mut session = self.open.get_mut(&hash)?;
        if session.is_active(now) {
            if is_use {
                session.last_used = now;
            }
            let end =
                SessionExpiry { ended: session.ended.clone(), latest: session.started + CONSOLE_SESSION_LIFETIME };
            return Some((session.key_id, end));
        }
        drop(session);
        self.remove(&hash);
        None
    }

    fn remove(&self, hash: &[u8; 32]) {
        self.open.remove(hash);
    }

    /// Ends a session.
    pub(super) fn sign_out(&self, text: &str) {
        if let Some(hash) = key_text::hash_encoded_secret(text) {
            self.remove(&hash);
        }
    }
}

/// A session that is no longer stored has ended, and so do its streams.
impl Drop for ConsoleSession {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl ConsoleSession {
    fn is_active(&self, now: Instant) -> bool {
        now - self.started < CONSOLE_SESSION_LIFETIME && now - self.last_used < CONSOLE_SESSION_IDLE
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Uses a session, and returns the number of its key.
    fn use_session(sessions: &ConsoleSessions, text: &str, now: Instant) -> Option<u64> {
        sessions.find(text, true, now).map(|(key_id, _)| key_id)
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_old_or_signed_out() {
        let (sessions, now) = (ConsoleSessions::default(), Instant::now());
        let second = Duration::from_secs(1);
        let text = sessions.sign_in(7, now).unwrap();
        assert_eq!(use_session(&sessions, &text, now + CONSOLE_SESSION_IDLE - second), Some(7));
        assert_eq!(
            use_session(&sessions, &text, now + CONSOLE_SESSION_IDLE + second),
            Some(7),
            "it was used meanwhile"
        );
        assert_eq!(use_session(&sessions, &text, now + CONSOLE_SESSION_IDLE * 3), None);
        assert_eq!(use_session(&sessions, &text, now), None, "an ended session does not come back");

        let text = sessions.sign_in(7, now).unwrap();
        assert!(sessions.find(&text, false, now + CONSOLE_SESSION_IDLE - second).is_some());
        assert!(
            sessions.find(&text, false, now + CONSOLE_SESSION_IDLE + second).is_none(),
            "an automatic refresh does not extend it"
        );

        let text = sessions.sign_in(7, now).unwrap();
        let mut later = now;
        while later + CONSOLE_SESSION_IDLE / 2 < now + CONSOLE_SESSION_LIFETIME {
            later += CONSOLE_SESSION_IDLE / 2;
            assert_eq!(use_session(&sessions, &text, later), Some(7));
        }
        assert_eq!(
            use_session(&sessions, &text, now + CONSOLE_SESSION_LIFETIME),
            None,
            "use does not extend the lifetime"
        );

        let text = sessions.sign_in(7, now).unwrap();
        let (_, end) = sessions.find(&text, true, now).unwrap();
        assert!(!end.ended.is_cancelled());
        sessions.sign_out(&text);
        assert!(end.ended.is_cancelled(), "its streams end too");
        assert_eq!(use_session(&sessions, &text, now), None);

        let text = sessions.sign_in(7, now).unwrap();
        let (_, end) = sessions.find(&text, true, now).unwrap();
        let _other = sessions.sign_in(8, now + CONSOLE_SESSION_IDLE).unwrap();
        assert!(end.is_over(), "a sign-in removes idle sessions, and their streams end");
        for unknown in ["", "x", &"A".repeat(43), &"A".repeat(1_000)] {
            assert_eq!(use_session(&sessions, unknown, now), None);
        }
    }

    #[test]
    fn the_least_recently_used_session_is_evicted() {
        let (sessions, now) = (ConsoleSessions::default(), Instant::now());
        let at = |milli: usize| now + Duration::from_millis(milli as u64);
        let texts: Vec<_> = (0..CONSOLE_SESSIONS).map(|id| sessions.sign_in(id as u64, at(id)).unwrap()).collect();
        assert_eq!(use_session(&sessions, &texts[0], at(CONSOLE_SESSIONS)), Some(0));
        let _one_more = sessions.sign_in(0, at(CONSOLE_SESSIONS + 1)).unwrap();
        assert_eq!(use_session(&sessions, &texts[1], at(CONSOLE_SESSIONS + 2)), None);
        assert_eq!(use_session(&sessions, &texts[0], at(CONSOLE_SESSIONS + 2)), Some(0));
        // A key with too many sessions evicts its own.
        for more in 0..2 * CONSOLE_SESSIONS_PER_KEY {
            sessions.sign_in(9_999, at(CONSOLE_SESSIONS + 3 + more)).unwrap();
        }
        let own = sessions.open.iter().filter(|session| session.value().key_id == 9_999).count();
        assert_eq!(own, CONSOLE_SESSIONS_PER_KEY);
        assert_eq!(use_session(&sessions, &texts[0], at(CONSOLE_SESSIONS + 100)), Some(0));
    }
}
