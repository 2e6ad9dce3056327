//! Requests of callers, as in the API document: paths and minimal bodies.

use std::fmt::Display;

use serde_json::{Value, json};

pub const INSERT: &str = "/group-dispatch-api/whatsapp/batchInsert";
pub const ONLINE: &str = "/group-dispatch-api/whatsapp/batchOnline";
pub const RECYCLE: &str = "/group-dispatch-api/whatsapp/batchRecycle";
pub const LIST: &str = "/group-dispatch-api/whatsapp/queryWhatsAppStatus";
pub const PHONE: &str = "/group-dispatch-api/register/submitPhone";
pub const CODE: &str = "/group-dispatch-api/register/submitVerifyCode";

/// An account with empty texts: a business account where the calling code is 1, else a personal one.
pub fn account(number: impl Display) -> Value {
    let number = number.to_string();
    json!({"whatsApp": number, "whatsappType": account_type(&number), "override": false, "accountId": "",
        "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": ""})
}

/// An account with these fields in place of empty ones, or in addition.
pub fn account_with(number: impl Display, fields: &Value) -> Value {
    let mut account = account(number);
    for (name, value) in fields.as_object().unwrap() {
        account[name] = value.clone();
    }
    account
}

/// The account of the document's example, with another number.
pub fn example(number: impl Display) -> Value {
    let fields = json!({"name": "lee", "avatar": "wwww.baiux.com/1.img", "nextKeyId": "", "registrationId": "",
        "deviceParams": ""});
    account_with(number, &fields)
}

/// The body of an import or an online request for accounts with empty texts.
pub fn accounts<N: Display>(numbers: impl IntoIterator<Item = N>) -> String {
    list(numbers.into_iter().map(account))
}

/// The body of a batch call: accounts, or for a recycling their numbers.
pub fn list<T: Into<Value>>(entries: impl IntoIterator<Item = T>) -> String {
    json!({"whatsAppList": entries.into_iter().map(T::into).collect::<Vec<Value>>()}).to_string()
}

/// The body that requests a code by SMS for this account. Its calling code is 1 or 86.
pub fn phone(number: impl Display) -> Value {
    let number = number.to_string();
    let (calling_code, phone, country) = parts(&number);
    json!({"phone": phone, "verifyType": 0, "accountType": account_type(&number), "areaCode": calling_code,
        "countryCode": country})
}

/// The body that submits a code.
pub fn code(number: impl Display, code: &str) -> Value {
    let number = number.to_string();
    let (calling_code, phone, _) = parts(&number);
    json!({"phone": phone, "verifyCode": code, "areaCode": calling_code})
}

fn account_type(number: &str) -> u8 {
    if number.starts_with('1') { 2 } else { 1 }
}

/// The calling code of a number, its phone, and its country.
fn parts(number: &str) -> (&str, &str, &str) {
    match number.strip_prefix('1') {
        Some(phone) => ("+1", phone, "US"),
        None => ("+86", &number[2..], "CN"),
    }
}
