//! The second question: whether somebody who was let in may still do what they asked for, right before it is done.
//!
//! A request may wait long between its head and its deed: for its body, for another request with the same
//! `Idempotency-Key`, in a queue. Its key may be revoked or expire meanwhile. So what the journal has to be told of a
//! requester comes from [`Requester::authorize`] alone, and `tests/it/tidy` sees to that.

use tokio::time::timeout;

use super::sessions::SessionEnd;
use super::{Denied, Holder, Keys, Pass};
use crate::clock;
use crate::domain::{Grant, Need};
use crate::journal::{Asker, Origin, Principal, RequestId};
use crate::limits::API_KEY_LOOK;

/// Somebody who was let in with a request. Cheap to clone.
#[derive(Clone)]
pub struct Requester {
    keys: Keys,
    pass: Pass,
    need: Need,
    is_caller: bool,
    request: RequestId,
    /// The address of the peer, or `command line`.
    from: String,
}

/// Permission to do something now. Only [`Requester::authorize`] gives it: ask again after each wait.
pub struct Authorized {
    pass: Pass,
    asker: Asker,
}

impl Requester {
    /// Somebody who asks for something that needs this.
    pub fn new(keys: Keys, pass: Pass, need: Need, request: RequestId, from: String) -> Requester {
        let is_caller = match need {
            Need::Call => true,
            Need::Read | Need::Operate | Need::Administer => false,
        };
        Requester { keys, pass, need, is_caller, request, from }
    }

    /// What they were let in with. It says nothing about now.
    pub fn admitted(&self) -> &Pass {
        &self.pass
    }

    /// The id of the request.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// The same, for what was begun under another request.
    pub fn going_on_with(self, request: RequestId) -> Requester {
        Requester { request, ..self }
    }

    /// Looks again whether they may; what their key is for and bound to is that of now.
    pub fn authorize(&self) -> Result<Authorized, Denied> {
        let pass = self.keys.renew(&self.pass).and_then(|pass| pass.needs(self.need).map(|()| pass));
        let pass = pass.inspect_err(|denied| {
            self.keys.count(*denied);
            tracing::debug!(from = self.from, %denied, "a request is not carried out: its key has ended meanwhile");
        })?;
        let id = pass.key();
        let principal = if self.is_caller { Principal::Caller(id) } else { Principal::Operator(id) };
        let origin = Origin { principal, request: self.request };
        Ok(Authorized { pass, asker: Asker { origin, from: self.from.clone() } })
    }

    /// Completes when they may no more.
    pub async fn ended(self) {
        self.keys.ended(self.pass).await;
    }
}

impl Authorized {
    /// What they may, as of now.
    pub fn pass(&self) -> &Pass {
        &self.pass
    }

    /// Whom the events of accounts are from.
    pub fn origin(&self) -> Origin {
        self.asker.origin
    }

    /// Whom an administrative event is from.
    pub fn into_asker(self) -> Asker {
        self.asker
    }
}

impl Keys {
    /// The pass that somebody would get now who was let in with this one.
    pub(super) fn renew(&self, pass: &Pass) -> Result<Pass, Denied> {
        let grant = match &pass.holder {
            Holder::Owner => return Ok(pass.clone()),
            Holder::Anonymous if self.is_open() => return Ok(pass.clone()),
            Holder::Anonymous => return Err(Denied::Missing),
            Holder::Key(grant) => grant,
        };
        if pass.session.as_ref().is_some_and(SessionEnd::is_over) {
            return Err(Denied::SignedOut);
        }
        match self.pass_again(grant.id, clock::trusted()) {
            Ok(now) if now.grant().is_some_and(|now| now.proof == grant.proof) => {
                Ok(Pass { session: pass.session.clone(), ..now })
            }
            Ok(_) => Err(Denied::Unknown),
            Err(denied) => Err(as_shown(denied, pass, grant)),
        }
    }

    /// Completes when somebody who was let in would be let in no more.
    pub async fn ended(&self, pass: Pass) {
        match pass.session.clone() {
            Some(session) => session.or(self.key_ended(&pass)).await,
            None => self.key_ended(&pass).await,
        }
    }

    async fn key_ended(&self, pass: &Pass) {
        let mut changes = self.follow();
        while self.renew(pass).is_ok() {
            let changed = changes.changed();
            let _either = match pass.grant().and_then(|grant| grant.expires) {
                None => changed.await,
                // The wall clock may be trusted again meanwhile.
                Some(end) => timeout(end.since(clock::trusted()).min(API_KEY_LOOK), changed).await.unwrap_or(Ok(())),
            };
        }
    }
}

/// The error as a session, or a tenant's token, shows it.
fn as_shown(denied: Denied, pass: &Pass, grant: &Grant) -> Denied {
    if pass.session.is_some() {
        return Denied::SignedOut;
    }
    let is_tenant = grant.tenant().is_some();
    if is_tenant && matches!(denied, Denied::Expired) {
        Denied::TenantExpired
    } else if is_tenant && matches!(denied, Denied::Revoked) {
        Denied::WrongToken
    } else {
        denied
    }
}
