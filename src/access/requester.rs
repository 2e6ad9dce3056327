//! Authorizes a requester again, right before the action.
//!
//! A request may wait for a long time between its head and its action: for its body, for another request with the same
//! `Idempotency-Key`, or in a queue. Its key may be revoked or expire meanwhile. So the [`RequesterIdentity`] that the
//! journal records for a request comes only from [`Requester::authorize`].

use tokio::time::timeout;

use super::console_sessions::SessionExpiry;
use super::{ApiKeys, AuthContext, AuthError, AuthIdentity};
use crate::clock;
use crate::domain::{Grant, Permission, Role};
use crate::journal::{Origin, Principal, RequestId, RequesterIdentity};
use crate::limits::API_KEY_POLL_INTERVAL;

/// The authenticated requester of one request. Cheap to clone.
#[derive(Clone)]
pub struct Requester {
    keys: ApiKeys,
    context: AuthContext,
    permission: Permission,
    request: RequestId,
    /// The caller's address, or `command line`.
    from: String,
}

/// Proof that a requester is authorized now. Only [`Requester::authorize`] creates it; call that again after each wait.
pub struct Authorization {
    context: AuthContext,
    requester: RequesterIdentity,
}

impl Requester {
    /// A requester whose request needs `permission`.
    pub fn new(
        keys: ApiKeys,
        context: AuthContext,
        permission: Permission,
        request: RequestId,
        from: String,
    ) -> Requester {
        Requester { keys, context, permission, request, from }
    }

    /// The context at authentication. It may no longer be valid.
    pub fn initial_context(&self) -> &AuthContext {
        &self.context
    }

    /// The id of the request.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// The same requester with the id of an earlier request, to resume that request.
    pub fn with_request_id(self, request: RequestId) -> Requester {
        Requester { request, ..self }
    }

    /// Checks that the key is valid now and has the permission.
    pub fn authorize(&self) -> Result<Authorization, AuthError> {
        let context = self
            .keys
            .reauthenticate(&self.context)
            .and_then(|context| context.require(self.permission).map(|()| context));
        let context = context.inspect_err(|error| {
            self.keys.count_error(*error);
            tracing::debug!(from = self.from, denied = %error, "a request is not carried out, because its key is no \
                longer valid");
        })?;
        let id = context.key_id();
        let is_caller = match self.permission {
            Permission::Call => true,
            // Callers and operators have this permission, so the role decides.
            Permission::Label => context.grant().is_some_and(|grant| grant.role == Role::Caller),
            Permission::Read | Permission::Operate | Permission::Administer => false,
        };
        let principal = if is_caller { Principal::Caller(id) } else { Principal::Operator(id) };
        let origin = Origin { principal, request: self.request };
        Ok(Authorization { context, requester: RequesterIdentity { origin, from: self.from.clone() } })
    }

    /// Completes when the key or the session stops being valid.
    pub async fn wait_until_invalid(self) {
        self.keys.wait_until_invalid(self.context).await;
    }
}

impl Authorization {
    /// The context as of now.
    pub fn context(&self) -> &AuthContext {
        &self.context
    }

    /// The origin for account events.
    pub fn origin(&self) -> Origin {
        self.requester.origin
    }

    /// The identity for administrative events.
    pub fn into_requester_identity(self) -> RequesterIdentity {
        self.requester
    }
}

impl ApiKeys {
    /// Authenticates a context again, as of now.
    pub fn reauthenticate(&self, context: &AuthContext) -> Result<AuthContext, AuthError> {
        let grant = match &context.identity {
            AuthIdentity::Owner => return Ok(context.clone()),
            AuthIdentity::Anonymous if self.allows_anonymous() => return Ok(context.clone()),
            AuthIdentity::Anonymous => return Err(AuthError::MissingKey),
            AuthIdentity::Key(grant) => grant,
        };
        if context.session.as_ref().is_some_and(SessionExpiry::is_over) {
            return Err(AuthError::SignedOut);
        }
        match self.authenticate_id(grant.id, clock::trusted()) {
            Ok(current) if current.grant().is_some_and(|current| current.verifier == grant.verifier) => {
                Ok(AuthContext { session: context.session.clone(), ..current })
            }
            Ok(_) => Err(AuthError::UnknownKey),
            Err(error) => Err(error_for_credentials(error, context, grant)),
        }
    }

    /// Completes when this context stops being valid: its key was revoked or expired, its session ended, or the first key
    /// was created.
    pub async fn wait_until_invalid(&self, context: AuthContext) {
        match context.session.clone() {
            Some(session) => session.wait_or(self.wait_until_key_invalid(&context)).await,
            None => self.wait_until_key_invalid(&context).await,
        }
    }

    async fn wait_until_key_invalid(&self, context: &AuthContext) {
        let mut changes = self.subscribe();
        while self.reauthenticate(context).is_ok() {
            let changed = changes.changed();
            let _either = match context.grant().and_then(|grant| grant.expires_at) {
                None => changed.await,
                // The trusted clock may leap during the wait, so the key is checked regularly.
                Some(end) => {
                    timeout(end.since(clock::trusted()).min(API_KEY_POLL_INTERVAL), changed).await.unwrap_or(Ok(()))
                }
            };
        }
    }
}

/// Maps an error of the key to the error of the session or token that the requester used.
fn error_for_credentials(error: AuthError, context: &AuthContext, grant: &Grant) -> AuthError {
    if context.session.is_some() {
        return AuthError::SignedOut;
    }
    let is_tenant = grant.tenant().is_some();
    if is_tenant && matches!(error, AuthError::Expired) {
        AuthError::TenantExpired
    } else if is_tenant && matches!(error, AuthError::Revoked) {
        AuthError::WrongToken
    } else {
        error
    }
}
