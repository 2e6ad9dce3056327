//! Online and offline. A number is online here while Meta has it connected and its callers want it so; taking it offline is
//! a local fact, because Meta counts registrations and the number would be locked for flapping.

use super::CloudApiInner;
use super::graph_response::PhoneNumber;
use super::meta_codes::NumberStatus;
use super::number_registration::{RegistrationGoal, RegistrationInput, WorkError};
use super::throttle::WorkDeadline;

impl CloudApiInner {
    /// Brings a number online: it is connected, or it is registered and looked at until it is.
    pub(super) async fn connect(
        &self,
        wish: &WorkDeadline,
        applicant: &RegistrationInput,
    ) -> Result<PhoneNumber, WorkError> {
        self.register_number(wish, applicant, RegistrationGoal::Connected).await
    }

    /// Takes a number's registration back, if the settings say so and there is one.
    pub(super) async fn disconnect(&self, wish: &WorkDeadline, applicant: &RegistrationInput) -> Result<(), WorkError> {
        if !self.settings.deregister_on_recycle {
            return Ok(());
        }
        let account = applicant.account;
        let Some(number) = self.numbers.lookup(&self.graph, wish, account).await? else { return Ok(()) };
        match number.status_meaning().status {
            // There is nothing to take back.
            NumberStatus::Offline | NumberStatus::Banned | NumberStatus::Gone => Ok(()),
            NumberStatus::Connected | NumberStatus::Pending | NumberStatus::Unclear => {
                self.deregister_number(wish, account, &number.id).await
            }
        }
    }
}
