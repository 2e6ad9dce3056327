//! Registers a number with a code: finds or adds the number, requests the code once, verifies it, and registers.

use zeroize::Zeroizing;

use super::call_error::GraphCallError;
use super::graph_client::code_method;
use super::graph_response::PhoneNumber;
use super::meta_codes::{GraphErrorClass, VerificationStatus};
use super::number_registration::{RegistrationGoal, RegistrationInput, WorkError};
use super::shared_state::CloudApiInner;
use super::throttle::WorkDeadline;
use crate::actors::CommandSuccess;
use crate::domain::{AccountNumber, CallingCode, Command, ProviderCall, SealedBytes, VerifyType};

/// Why a submitted code did not register the number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SubmitCodeError {
    /// The code is wrong; another may be submitted.
    WrongCode(String),
    /// The registration failed.
    Work(WorkError),
}

impl From<WorkError> for SubmitCodeError {
    fn from(error: WorkError) -> SubmitCodeError {
        SubmitCodeError::Work(error)
    }
}

impl CloudApiInner {
    /// Asks Meta to send a code, once per registration. A call is not repeated if its response was lost, or if it was
    /// recorded before a crash: its code may be on the way.
    pub(super) async fn request_code(
        &self,
        work: &WorkDeadline,
        account: AccountNumber,
        calling_code: CallingCode,
        verify_type: VerifyType,
    ) -> Result<(), WorkError> {
        let Some(method) = code_method(verify_type) else {
            return Err(WorkError::Failed("the Cloud API sends codes by sms and voice only".to_owned()));
        };
        let number = self.find_or_add_number(work, account, calling_code).await?;
        let command = Command::CallProvider { call: ProviderCall::RequestCode };
        match self.execute(account, command).await? {
            Ok(CommandSuccess::Recorded) => {}
            Ok(CommandSuccess::Unchanged) => return Ok(()),
            Err(refusal) => return Err(WorkError::Failed(format!("the number {refusal}"))),
        }
        let mut tries = 0;
        loop {
            match self.graph.request_code(work, &number.id, method).await {
                Ok(()) | Err(GraphCallError::NoAnswer { .. }) => return Ok(()),
                Err(failure) => failure.wait_before_retry(work, &mut tries).await?,
            }
        }
    }

    /// Finds the number in Meta's list, or adds it. After a lost response the list is checked before the number is added
    /// again.
    async fn find_or_add_number(
        &self,
        work: &WorkDeadline,
        account: AccountNumber,
        code: CallingCode,
    ) -> Result<PhoneNumber, WorkError> {
        let mut tries = 0;
        loop {
            if let Some(number) = self.numbers.lookup(&self.graph, work, account).await? {
                return Ok(number);
            }
            if !self.graph.can_add() {
                let words = "the number is not in the WhatsApp Business account; set gateway.cloud_api.verified_name \
                    to add numbers";
                return Err(WorkError::Failed(words.to_owned()));
            }
            let failure = match self.graph.add(work, account, code).await {
                Ok(id) => {
                    // Durable before the code is requested, because an append follows.
                    self.numbers.keep_id(account, &id);
                    let (status, verification) = ("PENDING".to_owned(), VerificationStatus::NotVerified);
                    return Ok(PhoneNumber { id, shown: Some(account), status, verification });
                }
                Err(failure) => failure,
            };
            // Another client may have added the number in the meantime.
            if matches!(failure.error_class(), Some(GraphErrorClass::AlreadyListed | GraphErrorClass::Permanent)) {
                let number = self.numbers.lookup(&self.graph, work, account).await?;
                return number.ok_or_else(|| failure.into());
            }
            failure.wait_before_retry(work, &mut tries).await?;
        }
    }

    /// Verifies a number with a code, and registers it. Steps that Meta shows as done are skipped.
    pub(super) async fn submit_code(
        &self,
        work: &WorkDeadline,
        input: &RegistrationInput,
        code: &SealedBytes,
    ) -> Result<(), SubmitCodeError> {
        let account = input.account;
        let code =
            self.vault.open_code(account, code).map_err(|error| SubmitCodeError::WrongCode(error.to_string()))?;
        let code = code_digits(&code);
        if code.is_empty() {
            return Err(SubmitCodeError::WrongCode("the code has no digits".to_owned()));
        }
        self.verify_code(work, account, &code).await?;
        self.register_number(work, input, RegistrationGoal::Accepted).await?;
        Ok(())
    }

    async fn verify_code(
        &self,
        work: &WorkDeadline,
        account: AccountNumber,
        code: &str,
    ) -> Result<(), SubmitCodeError> {
        let mut tries = 0;
        loop {
            // Checked before each attempt: a code is valid once, and the response to an earlier attempt may be lost.
            let number = self.require_number(work, account).await?;
            if number.verification == VerificationStatus::Verified {
                return Ok(());
            }
            let failure = match self.graph.verify_code(work, &number.id, code).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if failure.error_class() == Some(GraphErrorClass::CodeRefused) {
                return Err(SubmitCodeError::WrongCode(failure.to_string()));
            }
            failure.wait_before_retry(work, &mut tries).await.map_err(WorkError::from)?;
        }
    }
}

/// The digits of a code. A text message has it as `123-830`.
pub(super) fn code_digits(code: &str) -> Zeroizing<String> {
    // Allocated in full, because a growing string leaves copies of the code behind.
    let mut digits = Zeroizing::new(String::with_capacity(code.len()));
    digits.extend(code.chars().filter(char::is_ascii_digit));
    digits
}
