//! Who is signed in: a browser has a cookie for the API key that was shown once, so that the key need not lie in it.
//!
//! Sessions are in memory alone: a restart signs everybody out, and nothing on the disk opens the service.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::text;
use crate::limits::{SESSION_IDLE, SESSION_LIFETIME, SESSIONS, SESSIONS_OF_A_KEY};
use crate::vault;

/// Who is signed in. Cheap to clone. Of a session's text it has a hash only.
#[derive(Clone, Default)]
pub(super) struct Sessions {
    open: Arc<DashMap<[u8; 32], Session>>,
}

#[derive(Clone)]
struct Session {
    /// The number of the key that was shown.
    key: u64,
    begun: Instant,
    used: Instant,
    /// Cancelled when somebody signs out, or when it makes room.
    ended: CancellationToken,
}

/// The end of a session, for what goes on behind an answer. Cheap to clone.
#[derive(Clone)]
pub(super) struct SessionEnd {
    ended: CancellationToken,
    latest: Instant,
}

impl SessionEnd {
    /// Whether it has come.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_cancelled() || Instant::now() >= self.latest
    }

    /// Waits for it, or for something else if that is earlier.
    pub(super) async fn or(self, other: impl Future<Output = ()>) {
        let _either = timeout_at(self.latest, self.ended.run_until_cancelled(other)).await;
    }
}

impl Sessions {
    /// Begins a session for whoever has shown this key. Where there are too many the one that was used longest ago ends.
    pub(super) fn begin(&self, key: u64, now: Instant) -> Result<Zeroizing<String>, vault::Error> {
        self.open.retain(|_, session| session.is_on(now));
        let own = self.open.iter().filter(|session| session.value().key == key).count();
        if own >= SESSIONS_OF_A_KEY {
            self.make_room(|session| session.key == key);
        } else if self.open.len() >= SESSIONS {
            self.make_room(|_| true);
        }
        let drawn = vault::draw_secret()?;
        self.open.insert(text::hash(&drawn), Session { key, begun: now, used: now, ended: CancellationToken::new() });
        Ok(text::encoded(&drawn))
    }

    /// Ends the session that was used longest ago of those that are meant.
    fn make_room(&self, is_meant: impl Fn(&Session) -> bool) {
        let meant = self.open.iter().filter(|session| is_meant(session.value()));
        let oldest = meant.min_by_key(|session| session.used).map(|session| *session.key());
        if let Some(oldest) = oldest {
            self.remove(&oldest);
        }
    }

    /// The key whose session this is, and its end; none if it is no session, or one that is over. What a page asks for by
    /// itself, while nobody does anything, is no use of it.
    pub(super) fn key(&self, shown: &str, is_use: bool, now: Instant) -> Option<(u64, SessionEnd)> {
        let hash = text::hash_of(shown)?;
        let mut session = self.open.get_mut(&hash)?;
        if session.is_on(now) {
            if is_use {
                session.used = now;
            }
            let end = SessionEnd { ended: session.ended.clone(), latest: session.begun + SESSION_LIFETIME };
            return Some((session.key, end));
        }
        drop(session);
        self.remove(&hash);
        None
    }

    fn remove(&self, hash: &[u8; 32]) {
        if let Some((_, session)) = self.open.remove(hash) {
            session.ended.cancel();
        }
    }

    /// Ends a session.
    pub(super) fn end(&self, shown: &str) {
        if let Some(hash) = text::hash_of(shown) {
            self.remove(&hash);
        }
    }
}

impl Session {
    fn is_on(&self, now: Instant) -> bool {
        now - self.begun < SESSION_LIFETIME && now - self.used < SESSION_IDLE
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The key of a session that is used.
    fn used(sessions: &Sessions, text: &str, now: Instant) -> Option<u64> {
        sessions.key(text, true, now).map(|(key, _)| key)
    }

    #[test]
    fn a_session_ends_when_it_is_left_alone_or_old_or_signed_out() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let second = Duration::from_secs(1);
        let text = sessions.begin(7, now).unwrap();
        assert_eq!(used(&sessions, &text, now + SESSION_IDLE - second), Some(7));
        assert_eq!(used(&sessions, &text, now + SESSION_IDLE + second), Some(7), "it was used meanwhile");
        assert_eq!(used(&sessions, &text, now + SESSION_IDLE * 3), None);
        assert_eq!(used(&sessions, &text, now), None, "what is over stays so");

        let text = sessions.begin(7, now).unwrap();
        assert!(sessions.key(&text, false, now + SESSION_IDLE - second).is_some());
        assert!(sessions.key(&text, false, now + SESSION_IDLE + second).is_none(), "to be looked at is no use");

        let text = sessions.begin(7, now).unwrap();
        let mut later = now;
        while later + SESSION_IDLE / 2 < now + SESSION_LIFETIME {
            later += SESSION_IDLE / 2;
            assert_eq!(used(&sessions, &text, later), Some(7));
        }
        assert_eq!(used(&sessions, &text, now + SESSION_LIFETIME), None, "however much it is used");

        let text = sessions.begin(7, now).unwrap();
        let (_, end) = sessions.key(&text, true, now).unwrap();
        assert!(!end.ended.is_cancelled());
        sessions.end(&text);
        assert!(end.ended.is_cancelled(), "what goes on behind an answer ends too");
        assert_eq!(used(&sessions, &text, now), None);
        for none in ["", "x", &"A".repeat(43), &"A".repeat(1_000)] {
            assert_eq!(used(&sessions, none, now), None);
        }
    }

    #[test]
    fn the_session_used_longest_ago_makes_room() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let at = |milli: usize| now + Duration::from_millis(milli as u64);
        let texts: Vec<_> = (0..SESSIONS).map(|id| sessions.begin(id as u64, at(id)).unwrap()).collect();
        assert_eq!(used(&sessions, &texts[0], at(SESSIONS)), Some(0));
        let _one_more = sessions.begin(0, at(SESSIONS + 1)).unwrap();
        assert_eq!(used(&sessions, &texts[1], at(SESSIONS + 2)), None);
        assert_eq!(used(&sessions, &texts[0], at(SESSIONS + 2)), Some(0));
        // Whoever signs in again and again signs out themselves.
        for more in 0..2 * SESSIONS_OF_A_KEY {
            sessions.begin(9_999, at(SESSIONS + 3 + more)).unwrap();
        }
        let own = sessions.open.iter().filter(|session| session.value().key == 9_999).count();
        assert_eq!(own, SESSIONS_OF_A_KEY);
        assert_eq!(used(&sessions, &texts[0], at(SESSIONS + 100)), Some(0));
    }
}
