//! Brings numbers online and offline. A number is online while it is connected at Meta and its callers want it online.
//! Going offline is local by default: Meta counts registrations, and would lock a number that changes often.

use super::graph_response::PhoneNumber;
use super::meta_codes::NumberStatus;
use super::number_registration::{RegistrationGoal, RegistrationInput, WorkError};
use super::shared_state::CloudApiInner;
use super::throttle::WorkDeadline;

impl CloudApiInner {
    /// Brings a number online: registers it if necessary, and waits until it is connected.
    pub(super) async fn connect(
        &self,
        work: &WorkDeadline,
        input: &RegistrationInput,
    ) -> Result<PhoneNumber, WorkError> {
        self.register_number(work, input, RegistrationGoal::Connected).await
    }

    /// Deregisters a number, if `deregister_on_recycle` is set and the number is registered.
    pub(super) async fn disconnect(&self, work: &WorkDeadline, input: &RegistrationInput) -> Result<(), WorkError> {
        if !self.settings.deregister_on_recycle {
            return Ok(());
        }
        let account = input.account;
        let Some(number) = self.numbers.lookup(&self.graph, work, account).await? else { return Ok(()) };
        match number.status_meaning().status {
            // The number is not registered.
            NumberStatus::Offline | NumberStatus::Banned | NumberStatus::Gone => Ok(()),
            NumberStatus::Connected | NumberStatus::Pending | NumberStatus::Unclear => {
                self.deregister_number(work, account, &number.id).await
            }
        }
    }
}
