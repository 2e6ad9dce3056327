//! Who is signed in: a browser has a cookie for the API key that was shown once, so that the key need not lie in it.
//!
//! Sessions are in memory alone: a restart signs everybody out, and nothing on the disk opens the service.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::text;
use crate::limits::{SESSION_IDLE, SESSION_LIFETIME, SESSIONS};
use crate::vault;

/// Who is signed in. Cheap to clone. Of a session's text it has a hash only.
#[derive(Clone, Default)]
pub(super) struct Sessions {
    open: Arc<DashMap<[u8; 32], Session>>,
}

#[derive(Clone, Copy)]
struct Session {
    /// The number of the key that was shown.
    key: u64,
    begun: Instant,
    used: Instant,
}

impl Sessions {
    /// Begins a session for whoever has shown this key. Where there are too many the one that was used longest ago ends.
    pub(super) fn begin(&self, key: u64, now: Instant) -> Result<Zeroizing<String>, vault::Error> {
        self.open.retain(|_, session| session.is_on(now));
        if self.open.len() >= SESSIONS {
            let oldest = self.open.iter().min_by_key(|session| session.used).map(|session| *session.key());
            oldest.map(|oldest| self.open.remove(&oldest));
        }
        let drawn = vault::draw_secret()?;
        self.open.insert(text::hash(&drawn), Session { key, begun: now, used: now });
        Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(&drawn[..])))
    }

    /// The key whose session this is, which is used now; none if it is no session, or one that is over.
    pub(super) fn key(&self, shown: &str, now: Instant) -> Option<u64> {
        let hash = hash(shown)?;
        let mut session = self.open.get_mut(&hash)?;
        if session.is_on(now) {
            session.used = now;
            return Some(session.key);
        }
        drop(session);
        self.open.remove(&hash);
        None
    }

    /// Ends a session.
    pub(super) fn end(&self, shown: &str) {
        if let Some(hash) = hash(shown) {
            self.open.remove(&hash);
        }
    }
}

impl Session {
    fn is_on(&self, now: Instant) -> bool {
        now - self.begun < SESSION_LIFETIME && now - self.used < SESSION_IDLE
    }
}

fn hash(shown: &str) -> Option<[u8; 32]> {
    // The decoder wants room for what so many characters might be at most.
    let mut bytes = Zeroizing::new([0; 33]);
    let length = URL_SAFE_NO_PAD.decode_slice(shown, &mut bytes[..]).ok()?;
    let secret: &[u8; 32] = bytes[..length].try_into().ok()?;
    Some(text::hash(secret))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_session_ends_when_it_is_left_alone_or_old_or_signed_out() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let second = Duration::from_secs(1);
        let text = sessions.begin(7, now).unwrap();
        assert_eq!(sessions.key(&text, now + SESSION_IDLE - second), Some(7));
        assert_eq!(sessions.key(&text, now + SESSION_IDLE + second), Some(7), "it was used meanwhile");
        assert_eq!(sessions.key(&text, now + SESSION_IDLE * 3), None);
        assert_eq!(sessions.key(&text, now), None, "what is over stays so");

        let text = sessions.begin(7, now).unwrap();
        let mut later = now;
        while later + SESSION_IDLE / 2 < now + SESSION_LIFETIME {
            later += SESSION_IDLE / 2;
            assert_eq!(sessions.key(&text, later), Some(7));
        }
        assert_eq!(sessions.key(&text, now + SESSION_LIFETIME), None, "however much it is used");

        let text = sessions.begin(7, now).unwrap();
        sessions.end(&text);
        assert_eq!(sessions.key(&text, now), None);
        for none in ["", "x", &"A".repeat(43), &"A".repeat(1_000)] {
            assert_eq!(sessions.key(none, now), None);
        }
    }

    #[test]
    fn the_session_used_longest_ago_makes_room() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let at = |second: usize| now + Duration::from_millis(second as u64);
        let texts: Vec<_> = (0..SESSIONS).map(|id| sessions.begin(id as u64, at(id)).unwrap()).collect();
        assert_eq!(sessions.key(&texts[0], at(SESSIONS)), Some(0));
        let _one_more = sessions.begin(0, at(SESSIONS + 1)).unwrap();
        assert_eq!(sessions.key(&texts[1], at(SESSIONS + 2)), None);
        assert_eq!(sessions.key(&texts[0], at(SESSIONS + 2)), Some(0));
    }
}
