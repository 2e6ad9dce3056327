//! A registration: the number is found or added, a code is sent to it once, confirmed, and the number registered.

use zeroize::Zeroizing;

use super::Inner;
use super::answer::Number;
use super::brake::Wish;
use super::failure::Failure;
use super::graph::method;
use super::registering::{Applicant, Ended, Until};
use super::table::{Verdict, Verification};
use crate::actors::Effect;
use crate::domain::{AccountNumber, CallingCode, Command, ProviderCall, Sealed, VerifyType};

/// Why a code did not register the number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// The code is wrong, and another may be tried.
    Code(String),
    /// The registration is over.
    Ended(Ended),
}

impl From<Ended> for Refused {
    fn from(ended: Ended) -> Refused {
        Refused::Ended(ended)
    }
}

impl Inner {
    /// Has a code sent, once for each registration: also one whose answer is lost may be on its way, and one that was on
    /// record before a crash.
    pub(super) async fn request_code(
        &self,
        wish: &Wish,
        account: AccountNumber,
        calling_code: CallingCode,
        verify_type: VerifyType,
    ) -> Result<(), Ended> {
        let Some(method) = method(verify_type) else {
            return Err(Ended::Failed("the Cloud API sends codes by sms and voice only".to_owned()));
        };
        let number = self.found_or_added(wish, account, calling_code).await?;
        let command = Command::CallProvider { call: ProviderCall::RequestCode };
        match self.settle(account, command).await? {
            Ok(Effect::Happened) => {}
            Ok(Effect::Nothing) => return Ok(()),
            Err(refusal) => return Err(Ended::Failed(format!("the number {refusal}"))),
        }
        let mut tries = 0;
        loop {
            match self.graph.request_code(wish, &number.id, method).await {
                Ok(()) | Err(Failure::Unanswered { .. }) => return Ok(()),
                Err(failure) => failure.waited(wish, &mut tries).await?,
            }
        }
    }

    /// The number in the list, where it is put if it is not there. One whose answer is lost is looked for before it is
    /// added again.
    async fn found_or_added(&self, wish: &Wish, account: AccountNumber, code: CallingCode) -> Result<Number, Ended> {
        let mut tries = 0;
        loop {
            if let Some(number) = self.numbers.look(&self.graph, wish, account).await? {
                return Ok(number);
            }
            if !self.graph.can_add() {
                let words = "the number is not in the WhatsApp Business account, and none can be added until \
                    gateway.cloud_api.verified_name is set";
                return Err(Ended::Failed(words.to_owned()));
            }
            let failure = match self.graph.add(wish, account, code).await {
                Ok(id) => {
                    let (status, verification) = ("PENDING".to_owned(), Verification::NotVerified);
                    let number = Number { id, account: Some(account), status, verification };
                    self.numbers.added(account, number.clone());
                    return Ok(number);
                }
                Err(failure) => failure,
            };
            // Somebody else may have added it since.
            if matches!(failure.verdict(), Some(Verdict::Listed | Verdict::Permanent)) {
                let number = self.numbers.look(&self.graph, wish, account).await?;
                return number.ok_or_else(|| failure.into());
            }
            failure.waited(wish, &mut tries).await?;
        }
    }

    /// Confirms a number by a code, and registers it. What Meta shows as done is not done again.
    pub(super) async fn submit_code(&self, wish: &Wish, applicant: &Applicant, code: &Sealed) -> Result<(), Refused> {
        let account = applicant.account;
        let code = self.vault.open_code(account, code).map_err(|error| Refused::Code(error.to_string()))?;
        let code = digits(&code);
        if code.is_empty() {
            return Err(Refused::Code("the code has no digits".to_owned()));
        }
        self.confirm(wish, account, &code).await?;
        self.register(wish, applicant, Until::Taken).await?;
        Ok(())
    }

    async fn confirm(&self, wish: &Wish, account: AccountNumber, code: &str) -> Result<(), Refused> {
        let mut tries = 0;
        loop {
            // Each time: a code is good once, and the answer may have been lost that says so.
            let number = self.seen(wish, account).await?;
            if number.verification == Verification::Verified {
                return Ok(());
            }
            let failure = match self.graph.verify_code(wish, &number.id, code).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if failure.verdict() == Some(Verdict::CodeRefused) {
                return Err(Refused::Code(failure.to_string()));
            }
            failure.waited(wish, &mut tries).await.map_err(Ended::from)?;
        }
    }
}

/// The digits of a code: the text message reads `123-830`.
pub(super) fn digits(code: &str) -> Zeroizing<String> {
    // With room for all of it, because a text that grows leaves copies behind.
    let mut digits = Zeroizing::new(String::with_capacity(code.len()));
    digits.extend(code.chars().filter(char::is_ascii_digit));
    digits
}
