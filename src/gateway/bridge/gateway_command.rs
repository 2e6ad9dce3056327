//! A command in the JSON of the bridge protocol.
//!
//! Frozen: the names of fields and types. Operators run gateways that read them. New fields are left out where they do
//! not apply.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{AccountType, ContentField, VerifyType};

/// A command to a gateway. The fields depend on its type. It has secrets, and no `Debug`.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayCommand)]
pub(crate) struct GatewayCommand<'a> {
    /// The idempotency id: carry the command out once, however often it arrives.
    pub(super) id: &'a str,
    /// The command type.
    #[serde(rename = "type")]
    pub(super) kind: CommandType,
    /// The account. Every command has one, except `list_sessions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) account: Option<String>,
    /// The deadline: do not start the command after it.
    #[schema(format = DateTime)]
    pub(super) deadline: String,
    /// `connect`: the account's session number. `disconnect`: the session to close, or null for any open one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub(super) session: Option<Option<u32>>,
    /// `connect`, `request_code`: the account type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) account_type: Option<AccountTypeName>,
    /// `connect`: the account's public key; may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) public_key: Option<&'a str>,
    /// `connect`: the public key for messages; may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) message_public_key: Option<&'a str>,
    /// `connect`: the account's private key; may be empty. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) private_key: Option<&'a str>,
    /// `connect`: the private key for messages; may be empty. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) message_private_key: Option<&'a str>,
    /// `connect`: device parameters, an opaque text; may be empty. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) device_params: Option<&'a str>,
    /// `connect`: the caller's own id of the account, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) account_id: Option<&'a str>,
    /// `connect`: the id of the next pre-key, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next_key_id: Option<&'a str>,
    /// `connect`: the registration id, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) registration_id: Option<&'a str>,
    /// `connect`: the name that customers see, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) name: Option<&'a str>,
    /// `connect`: the location of the picture, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) avatar: Option<&'a str>,
    /// `request_code`, `submit_code`: the task id of the registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) task: Option<u32>,
    /// `request_code`: how the code reaches the phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) method: Option<CodeMethodName>,
    /// `request_code`: the calling code, such as `+86`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) calling_code: Option<String>,
    /// `request_code`: the country, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) country: Option<&'a str>,
    /// `submit_code`: the number of this code in the registration, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) attempt: Option<u32>,
    /// `submit_code`: the code. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) code: Option<&'a str>,
    /// `list_sessions`: the last account of the previous page; null for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) after: Option<Option<String>>,
    /// `list_sessions`: the maximum number of sessions on the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) limit: Option<u32>,
}

impl<'a> GatewayCommand<'a> {
    /// A command without the fields of its type.
    pub(super) fn new(id: &'a str, kind: CommandType, account: Option<String>, deadline: String) -> GatewayCommand<'a> {
        GatewayCommand {
            id,
            kind,
            account,
            deadline,
            session: None,
            account_type: None,
            public_key: None,
            message_public_key: None,
            private_key: None,
            message_private_key: None,
            device_params: None,
            account_id: None,
            next_key_id: None,
            registration_id: None,
            name: None,
            avatar: None,
            task: None,
            method: None,
            calling_code: None,
            country: None,
            attempt: None,
            code: None,
            after: None,
            limit: None,
        }
    }

    /// The field that carries this text of the content.
    pub(super) fn text(&mut self, field: ContentField) -> &mut Option<&'a str> {
        match field {
            ContentField::Name => &mut self.name,
            ContentField::Avatar => &mut self.avatar,
            ContentField::PublicKey => &mut self.public_key,
            ContentField::PrivateKey => &mut self.private_key,
            ContentField::MsgPublicKey => &mut self.message_public_key,
            ContentField::MsgPrivateKey => &mut self.message_private_key,
            ContentField::AccountId => &mut self.account_id,
            ContentField::NextKeyId => &mut self.next_key_id,
            ContentField::RegistrationId => &mut self.registration_id,
            ContentField::DeviceParams => &mut self.device_params,
        }
    }
}

/// The type of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayCommandType)]
pub(crate) enum CommandType {
    /// Open a session.
    Connect,
    /// Close a session.
    Disconnect,
    /// Request a verification code.
    RequestCode,
    /// Submit a verification code.
    SubmitCode,
    /// List the sessions.
    ListSessions,
}

/// The account type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayAccountType)]
pub(crate) enum AccountTypeName {
    /// A personal account.
    Personal,
    /// A business account.
    Business,
}

/// How a code reaches a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayCodeMethod)]
pub(crate) enum CodeMethodName {
    /// A text message.
    Sms,
    /// A voice call.
    Voice,
    /// A missed call: the caller's number is the code.
    MissedCall,
    /// Within another WhatsApp client.
    Internal,
}

impl From<AccountType> for AccountTypeName {
    fn from(account_type: AccountType) -> AccountTypeName {
        match account_type {
            AccountType::Personal => AccountTypeName::Personal,
            AccountType::Business => AccountTypeName::Business,
        }
    }
}

impl From<VerifyType> for CodeMethodName {
    fn from(verify_type: VerifyType) -> CodeMethodName {
        match verify_type {
            VerifyType::Sms => CodeMethodName::Sms,
            VerifyType::Voice => CodeMethodName::Voice,
            VerifyType::MissedCall => CodeMethodName::MissedCall,
            VerifyType::Internal => CodeMethodName::Internal,
        }
    }
}
