//! What callers send, as the API document has it: paths and bodies, with as little in them as it allows.

use std::fmt::Display;

use serde_json::{Value, json};

pub const INSERT: &str = "/group-dispatch-api/whatsapp/batchInsert";
pub const ONLINE: &str = "/group-dispatch-api/whatsapp/batchOnline";
pub const RECYCLE: &str = "/group-dispatch-api/whatsapp/batchRecycle";
pub const LIST: &str = "/group-dispatch-api/whatsapp/queryWhatsAppStatus";
pub const PHONE: &str = "/group-dispatch-api/register/submitPhone";
pub const CODE: &str = "/group-dispatch-api/register/submitVerifyCode";

/// A personal account with empty texts.
pub fn account(number: impl Display) -> Value {
    json!({"whatsApp": number.to_string(), "whatsappType": 1, "override": false, "accountId": "", "publicKey": "",
        "privateKey": "", "msgPublicKey": "", "msgPrivateKey": ""})
}

/// An account with these fields in place of empty ones, or beside them.
pub fn account_with(number: impl Display, fields: &Value) -> Value {
    let mut account = account(number);
    for (name, value) in fields.as_object().unwrap() {
        account[name] = value.clone();
    }
    account
}

/// The body of an import or an online request for accounts with empty texts.
pub fn accounts<N: Display>(numbers: impl IntoIterator<Item = N>) -> String {
    list(numbers.into_iter().map(account))
}

/// The body of a batch call: accounts, or for a recycling their numbers.
pub fn list<T: Into<Value>>(entries: impl IntoIterator<Item = T>) -> String {
    json!({"whatsAppList": entries.into_iter().map(T::into).collect::<Vec<Value>>()}).to_string()
}

/// The body that asks for a code by SMS: for a business account where the calling code is 1, else for a personal one of
/// calling code 86.
pub fn phone(number: impl Display) -> Value {
    let (calling_code, phone) = parts(&number.to_string());
    let (account_type, country) = if calling_code == "+1" { (2, "US") } else { (1, "CN") };
    json!({"phone": phone, "verifyType": 0, "accountType": account_type, "areaCode": calling_code,
        "countryCode": country})
}

/// The body that submits a code.
pub fn code(number: impl Display, code: &str) -> Value {
    let (calling_code, phone) = parts(&number.to_string());
    json!({"phone": phone, "verifyCode": code, "areaCode": calling_code})
}

/// The calling code of a number, and the rest of it.
fn parts(number: &str) -> (&'static str, String) {
    let calling_code = if number.starts_with('1') { "+1" } else { "+86" };
    (calling_code, number[calling_code.len() - 1..].to_owned())
}
