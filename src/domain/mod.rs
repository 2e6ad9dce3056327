//! The rules of an account: the commands it accepts, the events that follow, and the notifications for receivers.
//!
//! Pure: nothing in this module does IO, reads the clock, draws random numbers, awaits or logs. Time and new ids are
//! arguments, so no function fails for a reason outside this module.
//!
//! | file | what it says |
//! |---|---|
//! | `account_number` | the format of an account number |
//! | `number_forms` | numbers that have two forms, as in Brazil |
//! | `calling_code` | which countries a calling code serves |
//! | `deterministic_random` | deterministic random numbers, for jitter |
//! | `contract_types` | the small enumerations of the contract |
//! | `content` | the content that is imported with an account |
//! | `content_field` | the texts of that content: one line per field |
//! | `command` | the commands |
//! | `gateway_offer` | what a gateway offers to accounts |
//! | `gateway_routing` | which gateway serves which account |
//! | `event_type` | the fixed properties of each type of event |
//! | `event` | the events of an account: the table of their types, and their data |
//! | `account` | the state, folded from events: `evolve`, `pending_effects`; which event may follow it |
//! | `decide` | command + state → events or a rejection |
//! | `roles` | the roles of API keys, and the permissions that each role has |
//! | `administrative_event` | changes to the service itself: the table of their types, and their data |
//! | `master_key_id` | the id of a master key |
//! | `generation` | generations of a log, and the ids of its events |
//! | `labels` | the labels of an account, and the filter by a label |
//! | `single_line_text` | text on one line, such as the reasons in the history |
//! | `channel` | the webhook channels, and the notifications that each sends to receivers |

mod account;
mod account_number;
mod administrative_event;
mod calling_code;
mod channel;
mod command;
mod content;
mod content_field;
mod contract_types;
mod decide;
mod deterministic_random;
mod event;
mod event_type;
mod gateway_offer;
mod gateway_routing;
mod generation;
mod labels;
mod master_key_id;
mod number_forms;
mod roles;
mod single_line_text;

pub use account::{Account, CodeAttempt, PendingEffect, Registration, RegistrationResult};
pub use account_number::{AccountNumber, MalformedAccountNumber, mask_digits};
pub use administrative_event::{
    AccountOrder, AdministrativeEvent, AdministrativeEventType, AuditLogEntry, SigningScheme,
};
pub use calling_code::{CallingCode, MalformedCallingCode};
pub use channel::{Channel, ChannelDefinition, Notification};
pub use command::{Command, Report};
pub use content::{Content, Fingerprint, SealedBytes};
pub use content_field::{ContentField, ContentTexts};
pub use contract_types::{AccountType, OnlineStatus, Reason, Status, TaskId, Timestamp, UnknownEnumValue, VerifyType};
pub use decide::{CommandRejection, DecisionContext, decide};
pub use deterministic_random::{apply_jitter, deterministic_random};
pub use event::{AccountEventType, Event};
pub use event_type::{EventDefinition, EventGroup, EventType, GroupStep};
pub use gateway_offer::{GatewayOffer, GatewayOffers};
pub use gateway_routing::{
    GatewayChoice, GatewayKind, GatewayRouting, MalformedRoutingRule, ProviderCall, RoutingCondition, RoutingRule,
};
pub use generation::{EVENT_ID_PATTERN, EventId, Generation, MalformedEventId};
pub use labels::{InvalidLabels, LabelFilter, Labels, MalformedLabelFilter};
pub use master_key_id::{InvalidMasterKeyId, MasterKeyId};
pub use roles::{CredentialVerifier, Grant, Permission, Role};
pub use single_line_text::{describe_invisible_control, escape_controls, is_single_line, trim_line};

#[cfg(test)]
mod tests;
