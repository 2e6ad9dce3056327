//! The second question: whether somebody who was let in may still do what they asked for, right before it is done.
//!
//! A request may wait long between its head and its deed: for its body, for another request with the same
//! `Idempotency-Key`, in a queue. Its key may be revoked or expire meanwhile. So what the journal has to be told of a
//! requester comes from [`Requester::authorize`] alone, and `tests/it/tidy` sees to that.

use tokio::time::timeout;

use super::console_sessions::SessionExpiry;
use super::{ApiKeys, AuthContext, AuthError, AuthIdentity};
use crate::clock;
use crate::domain::{Grant, Permission};
use crate::journal::{Origin, Principal, RequestId, RequesterIdentity};
use crate::limits::API_KEY_POLL_INTERVAL;

/// Somebody who was let in with a request. Cheap to clone.
#[derive(Clone)]
pub struct Requester {
    keys: ApiKeys,
    context: AuthContext,
    permission: Permission,
    is_caller: bool,
    request: RequestId,
    /// The address of the peer, or `command line`.
    from: String,
}

/// Permission to do something now. Only [`Requester::authorize`] gives it: ask again after each wait.
pub struct Authorization {
    context: AuthContext,
    requester: RequesterIdentity,
}

impl Requester {
    /// Somebody who asks for something that needs this.
    pub fn new(
        keys: ApiKeys,
        context: AuthContext,
        permission: Permission,
        request: RequestId,
        from: String,
    ) -> Requester {
        let is_caller = match permission {
            Permission::Call => true,
            Permission::Read | Permission::Operate | Permission::Administer => false,
        };
        Requester { keys, context, permission, is_caller, request, from }
    }

    /// What they were let in with. It says nothing about now.
    pub fn initial_context(&self) -> &AuthContext {
        &self.context
    }

    /// The id of the request.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// The same, for what was begun under another request.
    pub fn with_request_id(self, request: RequestId) -> Requester {
        Requester { request, ..self }
    }

    /// Looks again whether they may; what their key is for and bound to is that of now.
    pub fn authorize(&self) -> Result<Authorization, AuthError> {
        let pass =
            self.keys.reauthenticate(&self.context).and_then(|pass| pass.require(self.permission).map(|()| pass));
        let pass = pass.inspect_err(|denied| {
            self.keys.count_error(*denied);
            tracing::debug!(from = self.from, %denied, "a request is not carried out: its key has ended meanwhile");
        })?;
        let id = pass.key_id();
        let principal = if self.is_caller { Principal::Caller(id) } else { Principal::Operator(id) };
        let origin = Origin { principal, request: self.request };
        Ok(Authorization { context: pass, requester: RequesterIdentity { origin, from: self.from.clone() } })
    }

    /// Completes when they may no more.
    pub async fn wait_until_invalid(self) {
        self.keys.wait_until_invalid(self.context).await;
    }
}

impl Authorization {
    /// What they may, as of now.
    pub fn context(&self) -> &AuthContext {
        &self.context
    }

    /// Whom the events of accounts are from.
    pub fn origin(&self) -> Origin {
        self.requester.origin
    }

    /// Whom an administrative event is from.
    pub fn into_requester_identity(self) -> RequesterIdentity {
        self.requester
    }
}

impl ApiKeys {
    /// The pass that somebody would get now who was let in with this one.
    pub(super) fn reauthenticate(&self, pass: &AuthContext) -> Result<AuthContext, AuthError> {
        let grant = match &pass.identity {
            AuthIdentity::Owner => return Ok(pass.clone()),
            AuthIdentity::Anonymous if self.allows_anonymous() => return Ok(pass.clone()),
            AuthIdentity::Anonymous => return Err(AuthError::MissingKey),
            AuthIdentity::Key(grant) => grant,
        };
        if pass.session.as_ref().is_some_and(SessionExpiry::is_over) {
            return Err(AuthError::SignedOut);
        }
        match self.authenticate_id(grant.id, clock::trusted()) {
            Ok(now) if now.grant().is_some_and(|now| now.verifier == grant.verifier) => {
                Ok(AuthContext { session: pass.session.clone(), ..now })
            }
            Ok(_) => Err(AuthError::UnknownKey),
            Err(denied) => Err(error_for_credentials(denied, pass, grant)),
        }
    }

    /// Completes when somebody who was let in would be let in no more.
    pub async fn wait_until_invalid(&self, pass: AuthContext) {
        match pass.session.clone() {
            Some(session) => session.wait_or(self.wait_until_key_invalid(&pass)).await,
            None => self.wait_until_key_invalid(&pass).await,
        }
    }

    async fn wait_until_key_invalid(&self, pass: &AuthContext) {
        let mut changes = self.subscribe();
        while self.reauthenticate(pass).is_ok() {
            let changed = changes.changed();
            let _either = match pass.grant().and_then(|grant| grant.expires_at) {
                None => changed.await,
                // The wall clock may be trusted again meanwhile.
                Some(end) => {
                    timeout(end.since(clock::trusted()).min(API_KEY_POLL_INTERVAL), changed).await.unwrap_or(Ok(()))
                }
            };
        }
    }
}

/// The error as a session, or a tenant's token, shows it.
fn error_for_credentials(denied: AuthError, pass: &AuthContext, grant: &Grant) -> AuthError {
    if pass.session.is_some() {
        return AuthError::SignedOut;
    }
    let is_tenant = grant.tenant().is_some();
    if is_tenant && matches!(denied, AuthError::Expired) {
        AuthError::TenantExpired
    } else if is_tenant && matches!(denied, AuthError::Revoked) {
        AuthError::WrongToken
    } else {
        denied
    }
}
