//! The sessions that a gateway says it has.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::reports::{Word, Words};
use super::values::{AnObject, Fault, Few, Fill, Key, Of, Shape, Text, described, object, read};
use crate::domain::{AccountNumber, Reason};
use crate::gateway::way::{Seen, SeenState};
use crate::limits::SESSIONS_PAGE_MOST;

/// A page of the sessions that a gateway has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionPage {
    pub(super) sessions: Vec<Seen>,
    pub(super) next: Option<AccountNumber>,
}

impl SessionPage {
    /// The page in a body.
    pub(super) fn read(body: &[u8]) -> Result<SessionPage, Fault> {
        let PageFields { sessions, next, .. } = read(body)?;
        let sessions = sessions.ok_or_else(|| Fault::missing("sessions"))?;
        SessionPage::checked(sessions, next.map(|Of(next)| next), "")
    }

    /// A page whose fields stand under the path `under`.
    pub(super) fn checked(
        Few(fields): Sessions<'_>,
        next: Option<AccountNumber>,
        under: &str,
    ) -> Result<SessionPage, Fault> {
        let seen = |(at, fields): (usize, SessionFields<'_>)| {
            let missing = |field: &str| Fault::missing(&format!("{under}sessions[{at}].{field}"));
            let SessionFields { account, session, state, instance_code, reason, .. } = fields;
            let Of(account) = account.ok_or_else(|| missing("account"))?;
            let state = match state.ok_or_else(|| missing("state"))?.0 {
                // There is a session, and no more is known of it.
                Word::Known(StateWord::Connecting) | Word::Unknown(_) => SeenState::Connecting,
                Word::Known(StateWord::Connected) => SeenState::Connected,
                Word::Known(StateWord::Banned) => {
                    let reason = reason.map_or_else(Reason::none, |Of(reason)| Reason::new(reason));
                    SeenState::Banned { reason }
                }
            };
            let instance_code = instance_code.map(|Of(code)| code.into_owned()).unwrap_or_default();
            Ok(Seen { account, session: session.map(|Of(session)| session), state, instance_code })
        };
        let sessions = fields.into_iter().enumerate().map(seen).collect::<Result<_, Fault>>()?;
        Ok(SessionPage { sessions, next })
    }
}

/// How a session stands, in the protocol's words.
#[derive(Clone, Copy)]
enum StateWord {
    Connecting,
    Connected,
    Banned,
}

impl Words for StateWord {
    const WORDS: &'static [(&'static str, StateWord)] =
        &[("connecting", StateWord::Connecting), ("connected", StateWord::Connected), ("banned", StateWord::Banned)];
}

/// The list of sessions.
pub(super) type Sessions<'a> = Few<SessionFields<'a>, SESSIONS_PAGE_MOST>;

object! {
    /// A page of sessions.
    PageFields<'a> {
        /// The sessions, by account as text.
        "sessions" => sessions: Sessions<'a>,
        /// The last account of this page if there is another page.
        "next" => next: Of<AccountNumber>,
    }
}

object! {
    /// A session.
    SessionFields<'a> {
        /// The account.
        "account" => account: Of<AccountNumber>,
        /// Which session of the account it is, where the gateway knows.
        "session" => session: Of<u32>,
        /// How it stands. Another word is taken for `connecting`.
        "state" => state: Of<Word<StateWord>>,
        /// The gateway's scan or pairing id, if there is one. It is cut if it is longer.
        "instance_code" => instance_code: Of<Text<'a>>,
        /// Why it is banned. It is cut if it is longer.
        "reason" => reason: Of<Text<'a>>,
    }
}

impl Shape for SessionFields<'_> {
    fn shape() -> Schema {
        SessionFields::described(&["account", "state"])
    }
}

/// Describes a page of sessions as it is read.
pub(crate) struct GatewaySessions;

impl PartialSchema for GatewaySessions {
    fn schema() -> RefOr<Schema> {
        RefOr::T(PageFields::described(&["sessions"]))
    }
}

impl ToSchema for GatewaySessions {
    fn name() -> Cow<'static, str> {
        "GatewaySessions".into()
    }
}
