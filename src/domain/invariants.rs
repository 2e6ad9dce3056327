//! Which events may follow which state: the results of `decide`, described independently.
//!
//! The service runs without it. Verification of a history uses it to find events that no rule can have produced.

use super::{Account, Event, OnlineStatus, ProviderCall, Registration, Status};
use crate::limits::REGISTRATION_ATTEMPTS;

impl Account {
    /// Whether `event` may follow this state.
    pub fn is_valid_next(&self, event: &Event) -> bool {
        let is_normal = self.status == Status::Normal;
        let waiting = |fits: fn(&Registration) -> bool| self.registration.as_ref().is_some_and(fits);
        match event {
            Event::AccountImported { .. } => self.content.is_none(),
            Event::ContentReplaced { .. } => self.content.is_some() && is_normal,
            Event::OnlineRequested => self.content.is_some() && is_normal && !self.online_status.is_desired_online(),
            Event::CameOnline { .. } => self.online_status == OnlineStatus::OnlineComing,
            Event::RecycleRequested => self.online_status.is_desired_online() || self.is_dropped(),
            Event::WentOffline { .. } => self.online_status != OnlineStatus::Offline,
            Event::Banned { .. } => self.is_known() && is_normal,
            Event::BanLifted => !is_normal,
            Event::RegistrationRequested { .. } => true,
            Event::CodeSent => waiting(|it| !it.code_sent),
            Event::CodeSubmitted { .. } => waiting(|it| it.attempts < REGISTRATION_ATTEMPTS),
            Event::Registered => waiting(|_| true),
            Event::RegistrationFailed { attempt: 0, .. } => waiting(|_| true),
            Event::RegistrationFailed { attempt, .. } => {
                let unjudged = self.registration.as_ref().map_or(&[][..], |it| &it.pending_codes);
                unjudged.iter().any(|unjudged| unjudged.number == *attempt)
            }
            Event::SecretsErased { .. } => {
                self.is_known() && self.registration.is_none() && !self.online_status.is_desired_online()
            }
            Event::GatewayAssigned { gateway } => {
                self.online_status == OnlineStatus::Offline && self.gateway != *gateway
            }
            Event::PinKept { .. } => self.is_known() && self.pin.is_none(),
            Event::ProviderCalled { call: ProviderCall::RequestCode, .. } => waiting(|it| !it.code_requested),
            Event::ProviderCalled { call, at } => self.is_known() && self.budget_free_at(*call, *at).is_none(),
        }
    }
}
