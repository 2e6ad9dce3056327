//! A registration: the number is found or added, a code is sent to it once, confirmed, and the number registered.

use zeroize::Zeroizing;

use super::CloudApiInner;
use super::call_error::GraphCallError;
use super::graph_client::code_method;
use super::graph_response::PhoneNumber;
use super::meta_codes::{GraphErrorClass, VerificationStatus};
use super::number_registration::{RegistrationGoal, RegistrationInput, WorkError};
use super::throttle::WorkDeadline;
use crate::actors::CommandSuccess;
use crate::domain::{AccountNumber, CallingCode, Command, ProviderCall, SealedBytes, VerifyType};

/// Why a code did not register the number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SubmitCodeError {
    /// The code is wrong, and another may be tried.
    WrongCode(String),
    /// The registration is over.
    Work(WorkError),
}

impl From<WorkError> for SubmitCodeError {
    fn from(ended: WorkError) -> SubmitCodeError {
        SubmitCodeError::Work(ended)
    }
}

impl CloudApiInner {
    /// Has a code sent, once for each registration: also one whose answer is lost may be on its way, and one that was on
    /// record before a crash.
    pub(super) async fn request_code(
        &self,
        wish: &WorkDeadline,
        account: AccountNumber,
        calling_code: CallingCode,
        verify_type: VerifyType,
    ) -> Result<(), WorkError> {
        let Some(method) = code_method(verify_type) else {
            return Err(WorkError::Failed("the Cloud API sends codes by sms and voice only".to_owned()));
        };
        let number = self.find_or_add_number(wish, account, calling_code).await?;
        let command = Command::CallProvider { call: ProviderCall::RequestCode };
        match self.execute(account, command).await? {
            Ok(CommandSuccess::Recorded) => {}
            Ok(CommandSuccess::Unchanged) => return Ok(()),
            Err(refusal) => return Err(WorkError::Failed(format!("the number {refusal}"))),
        }
        let mut tries = 0;
        loop {
            match self.graph.request_code(wish, &number.id, method).await {
                Ok(()) | Err(GraphCallError::NoAnswer { .. }) => return Ok(()),
                Err(failure) => failure.wait_before_retry(wish, &mut tries).await?,
            }
        }
    }

    /// The number in the list, where it is put if it is not there. One whose answer is lost is looked for before it is
    /// added again.
    async fn find_or_add_number(
        &self,
        wish: &WorkDeadline,
        account: AccountNumber,
        code: CallingCode,
    ) -> Result<PhoneNumber, WorkError> {
        let mut tries = 0;
        loop {
            if let Some(number) = self.numbers.lookup(&self.graph, wish, account).await? {
                return Ok(number);
            }
            if !self.graph.can_add() {
                let words = "the number is not in the WhatsApp Business account, and none can be added until \
                    gateway.cloud_api.verified_name is set";
                return Err(WorkError::Failed(words.to_owned()));
            }
            let failure = match self.graph.add(wish, account, code).await {
                Ok(id) => {
                    let (status, verification) = ("PENDING".to_owned(), VerificationStatus::NotVerified);
                    let number = PhoneNumber { id, account: Some(account), status, verification };
                    self.numbers.insert(account, number.clone());
                    return Ok(number);
                }
                Err(failure) => failure,
            };
            // Somebody else may have added it since.
            if matches!(failure.error_class(), Some(GraphErrorClass::AlreadyListed | GraphErrorClass::Permanent)) {
                let number = self.numbers.lookup(&self.graph, wish, account).await?;
                return number.ok_or_else(|| failure.into());
            }
            failure.wait_before_retry(wish, &mut tries).await?;
        }
    }

    /// Confirms a number by a code, and registers it. What Meta shows as done is not done again.
    pub(super) async fn submit_code(
        &self,
        wish: &WorkDeadline,
        applicant: &RegistrationInput,
        code: &SealedBytes,
    ) -> Result<(), SubmitCodeError> {
        let account = applicant.account;
        let code =
            self.vault.open_code(account, code).map_err(|error| SubmitCodeError::WrongCode(error.to_string()))?;
        let code = code_digits(&code);
        if code.is_empty() {
            return Err(SubmitCodeError::WrongCode("the code has no digits".to_owned()));
        }
        self.verify_code(wish, account, &code).await?;
        self.register_number(wish, applicant, RegistrationGoal::Accepted).await?;
        Ok(())
    }

    async fn verify_code(
        &self,
        wish: &WorkDeadline,
        account: AccountNumber,
        code: &str,
    ) -> Result<(), SubmitCodeError> {
        let mut tries = 0;
        loop {
            // Each time: a code is good once, and the answer may have been lost that says so.
            let number = self.require_number(wish, account).await?;
            if number.verification == VerificationStatus::Verified {
                return Ok(());
            }
            let failure = match self.graph.verify_code(wish, &number.id, code).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if failure.error_class() == Some(GraphErrorClass::CodeRefused) {
                return Err(SubmitCodeError::WrongCode(failure.to_string()));
            }
            failure.wait_before_retry(wish, &mut tries).await.map_err(WorkError::from)?;
        }
    }
}

/// The digits of a code: the text message reads `123-830`.
pub(super) fn code_digits(code: &str) -> Zeroizing<String> {
    // With room for all of it, because a text that grows leaves copies behind.
    let mut digits = Zeroizing::new(String::with_capacity(code.len()));
    digits.extend(code.chars().filter(char::is_ascii_digit));
    digits
}
