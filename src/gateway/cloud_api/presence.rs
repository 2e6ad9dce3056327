//! Online and offline. A number is online here while Meta has it connected and its callers want it so; taking it offline is
//! a local fact, because Meta counts registrations and the number would be locked for flapping.

use super::Inner;
use super::answer::Number;
use super::brake::Wish;
use super::registering::{Applicant, Ended, Until};
use super::table::Standing;

impl Inner {
    /// Brings a number online: it is connected, or it is registered and looked at until it is.
    pub(super) async fn connect(&self, wish: &Wish, applicant: &Applicant) -> Result<Number, Ended> {
        self.register(wish, applicant, Until::Connected).await
    }

    /// Takes a number's registration back, if the settings say so and there is one.
    pub(super) async fn disconnect(&self, wish: &Wish, applicant: &Applicant) -> Result<(), Ended> {
        if !self.settings.deregister_on_recycle {
            return Ok(());
        }
        let account = applicant.account;
        let Some(number) = self.numbers.look(&self.graph, wish, account).await? else { return Ok(()) };
        match number.state().standing {
            // There is nothing to take back.
            Standing::Offline | Standing::Banned | Standing::Gone => Ok(()),
            Standing::Connected | Standing::Pending | Standing::Unclear => {
                self.deregister_number(wish, account, &number.id).await
            }
        }
    }
}
