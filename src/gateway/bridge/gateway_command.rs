//! A command in the JSON of the bridge protocol.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{AccountType, ContentField, VerifyType};

/// A command to a gateway. Which fields it has depends on its type. It holds secrets, and has no `Debug`.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayCommand)]
pub(crate) struct GatewayCommand<'a> {
    /// The idempotency id: however often the command comes, it is carried out once.
    pub(super) id: &'a str,
    /// What is to be done.
    #[serde(rename = "type")]
    pub(super) kind: CommandType,
    /// The account; every command has it but `list_sessions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) account: Option<String>,
    /// After this the command must not be begun.
    #[schema(format = DateTime)]
    pub(super) deadline: String,
    /// `connect`: which session of the account it is. `disconnect`: likewise, or null for whichever is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub(super) session: Option<Option<u32>>,
    /// `connect`, `request_code`: the kind of account.
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
    /// `connect`: id of the next pre-key, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next_key_id: Option<&'a str>,
    /// `connect`: registration id, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) registration_id: Option<&'a str>,
    /// `connect`: the name shown to customers, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) name: Option<&'a str>,
    /// `connect`: where the picture is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) avatar: Option<&'a str>,
    /// `request_code`, `submit_code`: which registration it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) task: Option<u32>,
    /// `request_code`: how the code is to reach the phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) method: Option<CodeMethodName>,
    /// `request_code`: the calling code, as in `+86`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) calling_code: Option<String>,
    /// `request_code`: the country, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) country: Option<&'a str>,
    /// `submit_code`: the how many-th code of the registration it is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) attempt: Option<u32>,
    /// `submit_code`: the code. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) code: Option<&'a str>,
    /// `list_sessions`: the last account of the page before; null for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) after: Option<Option<String>>,
    /// `list_sessions`: sessions on the page, most.
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

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayCommandType)]
pub(crate) enum CommandType {
    /// Open a session.
    Connect,
    /// Close a session.
    Disconnect,
    /// Have a verification code sent.
    RequestCode,
    /// Try a verification code.
    SubmitCode,
    /// Tell which sessions there are.
    ListSessions,
}

/// The kind of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayAccountType)]
pub(crate) enum AccountTypeName {
    /// Of a person.
    Personal,
    /// Of a business.
    Business,
}

/// How a code reaches a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayCodeMethod)]
pub(crate) enum CodeMethodName {
    /// A text message.
    Sms,
    /// A spoken call.
    Voice,
    /// The caller's number is the code.
    MissedCall,
    /// Inside another WhatsApp client.
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
