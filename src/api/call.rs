//! One call of an operation: its requester, and the check of the permission. An operation that changes something calls
//! [`Call::authorize`] right before the change.

use tokio::task::spawn_blocking;
use tracing::Instrument;

use super::{Access, AccountSelection, ApiState, Operation, Problem};
use crate::access::{AuthContext, Authorization, Requester};
use crate::domain::Permission;
use crate::journal::RequestId;

/// A call whose requester had the permission for the operation when the call was created. Cheap to clone.
#[derive(Clone)]
pub struct Call {
    api: ApiState,
    operation: Operation,
    selection: AccountSelection,
    requester: Requester,
}

impl Call {
    /// Checks the permission of `auth`, and creates the call. `id` is the id of the request. `from` is the address of
    /// the peer, or `command line`.
    pub fn new(
        api: &ApiState,
        operation: Operation,
        selection: AccountSelection,
        auth: AuthContext,
        id: RequestId,
        from: String,
    ) -> Result<Call, Problem> {
        operation.check_permission(&auth, &selection)?;
        let permission = match operation.access {
            Access::Permission(permission) => permission,
            Access::Public | Access::Signature => Permission::Call,
        };
        let requester = Requester::new(api.authenticator().keys().clone(), auth, permission, id, from);
        Ok(Call { api: api.clone(), operation, selection, requester })
    }

    /// Checks that the key is still valid and permits this call.
    pub fn authorize(&self) -> Result<Authorization, Problem> {
        let authorization = self.requester.authorize()?;
        self.operation.check_permission(authorization.context(), &self.selection)?;
        Ok(authorization)
    }

    /// The state that all calls share.
    pub fn api(&self) -> &ApiState {
        &self.api
    }

    /// The operation.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The same call with the id of an earlier request, to continue that request.
    pub fn with_request_id(self, request: RequestId) -> Call {
        Call { requester: self.requester.with_request_id(request), ..self }
    }

    /// The requester.
    pub fn requester(&self) -> &Requester {
        &self.requester
    }

    /// Runs `reading`, then checks the permission again: the key may have expired or been revoked during a long read.
    pub(super) async fn read<T>(&self, reading: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        let result = reading.await?;
        self.authorize()?;
        Ok(result)
    }

    /// Like [`read`](Call::read), for `work` that blocks.
    pub(super) async fn read_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.read(async { spawn_blocking(work).await.map_err(|error| Problem::task_failed(&error))? }).await
    }
}

/// Runs a change in its own task, so that it completes even if the requester disconnects. The audit log therefore
/// agrees with the effect.
pub async fn run_to_completion<T: Send + 'static>(
    change: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(change.in_current_span()).await.map_err(|error| Problem::task_failed(&error))?
}
