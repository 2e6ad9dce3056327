//! Handlers of the contract's POST endpoints: they parse a request, make its call, and return the outcome.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::Api;
use super::contract_envelope::CallOutcome;
use super::contract_error::Error;
use super::contract_parsing::{
    parse_details_query, parse_imports, parse_recycle, parse_submit_phone, parse_submit_verify_code,
};
use super::contract_request::ContractRequest;
use super::request_body::RequestBody;
use crate::access::AuthContext;
use crate::api::{
    AccountCommands, ContentSealing, ImportKind, import_accounts, recycle_accounts, seal_imports, submit_phone,
    submit_verify_code,
};
use crate::domain::Reason;
use crate::limits::INLINE_BODY_BYTES;

/// The POST endpoints of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContractOperation {
    /// batchInsert and batchOnline.
    Import(ImportKind),
    Recycle,
    SubmitPhone,
    SubmitVerifyCode,
}

/// Executes a request. The call first checks the caller's key again, because it may have ended while the body arrived or
/// while another request with the same `Idempotency-Key` ran.
pub(super) async fn execute_request(
    api: &Api,
    operation: ContractOperation,
    request: ContractRequest,
) -> Result<CallOutcome, Error> {
    let ContractRequest { head, reason, body, requester, .. } = request;
    let (service, max_batch) = (api.service(), api.settings().max_batch);
    match operation {
        ContractOperation::Import(import) => {
            let details = parse_details_query(&head.query)?;
            let body = Arc::new(body);
            let build_commands =
                |sealing, auth| parse_and_seal(api.clone(), import, sealing, body.clone(), reason.clone(), auth);
            let (accounts, outcomes) = import_accounts(service, &requester, build_commands).await?;
            Ok(CallOutcome::Batch { accounts, outcomes, details })
        }
        ContractOperation::Recycle => {
            let details = parse_details_query(&head.query)?;
            let accounts = parse_recycle(&body, max_batch)?;
            let (accounts, outcomes) = recycle_accounts(service, &requester, accounts, &reason, max_batch).await?;
            Ok(CallOutcome::Batch { accounts, outcomes, details })
        }
        ContractOperation::SubmitPhone => {
            Ok(CallOutcome::Task(submit_phone(service, &requester, parse_submit_phone(&body)?, reason).await?))
        }
        ContractOperation::SubmitVerifyCode => {
            let submitted = parse_submit_verify_code(&body)?;
            submit_verify_code(service, &requester, submitted.account, &submitted.code, reason).await?;
            Ok(CallOutcome::Success)
        }
    }
}

/// Parses, validates and seals the accounts. A large body is processed on a blocking thread.
async fn parse_and_seal(
    api: Api,
    import: ImportKind,
    sealing: ContentSealing,
    body: Arc<RequestBody>,
    reason: Reason,
    auth: AuthContext,
) -> Result<AccountCommands, Error> {
    let is_inline = body.len() <= INLINE_BODY_BYTES;
    let build = move || {
        let imports = parse_imports(&body, import, api.settings().max_batch)?;
        Ok(seal_imports(api.service(), import, sealing, &imports, &reason, &auth)?)
    };
    if is_inline { build() } else { spawn_blocking(build).await? }
}
