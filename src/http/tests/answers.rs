//! The form of responses, and which of them are final for an `Idempotency-Key`.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{ContractEndpoint, snapshot};
use crate::access::AuthError;
use crate::api::{ContractCallError, ItemError};
use crate::domain::{AccountNumber, CommandRejection};
use crate::http::base_path::BasePath;
use crate::http::body_type::BodyType;
use crate::http::contract_envelope::{CallOutcome, EnvelopeKind, batch_body, error_body, http_status, render_outcome};
use crate::http::contract_error::Error;
use crate::http::contract_parsing::parse_recycle;
use crate::http::idempotency_key::{KeyOutcome, key_outcome};
use crate::limits::BODY_BYTES;
use crate::{actors, idempotency};

#[test]
fn answers_have_one_form() {
    let mut table = String::new();
    let accounts: Vec<AccountNumber> = (861_821_726_230..).take(5).filter_map(AccountNumber::from_stored).collect();
    let rejections = [
        CommandRejection::OtherContent,
        CommandRejection::Banned,
        CommandRejection::Unknown,
        CommandRejection::Unknown,
        CommandRejection::Unknown,
    ];
    let rejections = rejections.map(ItemError::Rejected);
    for accepted in [0, 1, 4, 5] {
        let outcomes: Vec<_> = (0..5).map(|n| if n < accepted { Ok(()) } else { Err(rejections[n].clone()) }).collect();
        for details in [false, true] {
            let (code, body) = batch_body(EnvelopeKind::Batch, &accounts, &outcomes, details);
            writeln!(table, "{accepted} of 5 accepted, details {details}\n  {code} {body}\n").unwrap();
        }
    }
    let (code, body) = batch_body(EnvelopeKind::Batch, &[], &[], true);
    writeln!(table, "no account, details true\n  {code} {body}\n").unwrap();
    let (code, body) = batch_body(EnvelopeKind::Batch, &accounts[..1], &[Err(rejections[2].clone())], false);
    writeln!(table, "0 of 1 accepted, details false\n  {code} {body}\n").unwrap();
    let failed = || Err(ItemError::Failed(actors::Error::ActorFailed { account: accounts[1] }));
    for outcomes in [[Ok(()), failed()], [Err(rejections[0].clone()), failed()]] {
        let (code, body) = batch_body(EnvelopeKind::Batch, &accounts[..2], &outcomes, true);
        writeln!(table, "one failed inside\n  {code} {body}\n").unwrap();
    }
    let rejected = Error::Call(ContractCallError::Rejected {
        account: accounts[0],
        rejection: CommandRejection::NoRegistrationWaiting,
    });
    let errors = [
        (ContractEndpoint::Unknown, Error::NoSuchPath { base_path: BasePath::NONE, nearest: None }),
        (ContractEndpoint::QueryWhatsAppStatus, Error::MethodNotAllowed { allow: "GET" }),
        (ContractEndpoint::BatchOnline, Error::TooLarge { limit: BODY_BYTES }),
        (ContractEndpoint::SubmitPhone, Error::UnsupportedMediaType { expected: BodyType::Json, found: "text/xml" }),
        (ContractEndpoint::BatchInsert, Error::MemoryBudgetExceeded),
        (ContractEndpoint::BatchInsert, Error::SlowBody),
        (ContractEndpoint::BatchRecycle, Error::IncompleteBody),
        (ContractEndpoint::SubmitVerifyCode, rejected),
        (ContractEndpoint::Ready, Error::NotReady),
        (ContractEndpoint::SubmitPhone, Error::Idempotency(idempotency::Error::KeyReused)),
        (ContractEndpoint::BatchOnline, Error::Idempotency(idempotency::Error::TooManyInFlight)),
        (ContractEndpoint::BatchRecycle, Error::Idempotency(idempotency::Error::NoCapacity { seconds: 41 })),
        (ContractEndpoint::BatchOnline, Error::Idempotency(idempotency::Error::Unreadable)),
        (
            ContractEndpoint::BatchOnline,
            Error::Call(ContractCallError::Accounts(actors::Error::Overloaded { limit: 65_536 })),
        ),
        (ContractEndpoint::BatchOnline, Error::Call(ContractCallError::Accounts(actors::Error::Stopping))),
        (ContractEndpoint::SubmitPhone, Error::Call(ContractCallError::Accounts(actors::Error::TaskIdsExhausted))),
        (
            ContractEndpoint::BatchOnline,
            Error::Call(ContractCallError::Accounts(actors::Error::ActorFailed { account: accounts[0] })),
        ),
        (
            ContractEndpoint::BatchOnline,
            Error::Call(ContractCallError::Accounts(Arc::new(crate::journal::Error::Closed).into())),
        ),
    ];
    for (endpoint, error) in &errors {
        let (code, body) = error_body(endpoint.kind(), error);
        let (plain, always_200) = (http_status(code, false).as_u16(), http_status(code, true).as_u16());
        assert_eq!(plain, code);
        writeln!(table, "{endpoint:?}, HTTP {plain}, with always_200 {always_200}\n  {body}\n").unwrap();
    }
    snapshot("http_answers", &table);
}

#[test]
fn outcome_of_a_key() {
    let account = AccountNumber::from_stored(861_821_726_232).unwrap();
    let rejection = CommandRejection::NoRegistrationWaiting;
    let failed = || ItemError::Failed(actors::Error::ActorFailed { account });
    let batch = |outcome: Result<(), ItemError>| {
        Ok(CallOutcome::Batch { accounts: vec![account; 2], outcomes: vec![Ok(()), outcome], details: false })
    };
    for (result, expected) in [
        (Ok(CallOutcome::Success), KeyOutcome::Final),
        (batch(Ok(())), KeyOutcome::Final),
        (batch(Err(ItemError::Rejected(rejection))), KeyOutcome::Final),
        (batch(Err(failed())), KeyOutcome::Unfinished),
        (Err(ContractCallError::Rejected { account, rejection }.into()), KeyOutcome::Final),
        (Err(ContractCallError::Rejected { account, rejection: CommandRejection::Banned }.into()), KeyOutcome::Final),
        (Err(Error::Call(ContractCallError::Accounts(actors::Error::ActorFailed { account }))), KeyOutcome::Unfinished),
        (Err(Error::Call(ContractCallError::Accounts(actors::Error::Overloaded { limit: 1 }))), KeyOutcome::Released),
        (Err(Error::Call(ContractCallError::Accounts(actors::Error::Stopping))), KeyOutcome::Released),
        (Err(Error::Call(ContractCallError::Auth(AuthError::OtherAccount { account }))), KeyOutcome::Released),
        (Err(Error::Malformed(parse_recycle(b"", 1).unwrap_err())), KeyOutcome::Released),
    ] {
        assert_eq!(key_outcome(&result), expected, "{:?}", render_outcome(EnvelopeKind::Batch, &result));
    }
}
