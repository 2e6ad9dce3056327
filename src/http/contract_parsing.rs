//! Parses and validates bodies and queries of the contract. All returned values are well-formed. Pure.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use super::account_fields::{ACCOUNT, AccountFields, LABELS, REPLACE};
use super::json_objects::{AccountListSeed, CodeFields, PhoneFields, UnknownFields};
use super::json_values::{AccountNumberText, EnumCode, JsonText, LenientBool};
use super::label_entries::LabelEntries;
use super::numbering_plan::probable_phone;
use super::validation_error::{ValidationError, parse_json};
use crate::api::{AccountImport, ImportKind, PhoneRegistration};
use crate::domain::{AccountNumber, AccountType, CallingCode, MalformedAccountNumber};
use crate::limits::{ACCOUNT_DIGITS_MAX, ACCOUNT_DIGITS_MIN, CONTENT_BYTES, VERIFY_CODE_BYTES};

/// A validated submitVerifyCode request. No `Debug`: it holds a secret.
pub(super) struct SubmitVerifyCodeRequest<'a> {
    pub(super) account: AccountNumber,
    pub(super) code: JsonText<'a>,
}

/// The query of a URL, decoded, in order.
pub(super) type Query = Vec<(String, String)>;

/// Parses the accounts of batchInsert or batchOnline: at most `max`, without duplicates.
pub(super) fn parse_imports(
    body: &[u8],
    import: ImportKind,
    max: usize,
) -> Result<Vec<AccountImport<JsonText<'_>>>, ValidationError> {
    let list = parse_json(body, || AccountListSeed::<AccountFields<'_>>::new(max, UnknownFields::Ignore))?;
    let list =
        list.ok_or_else(|| ValidationError::at_field("whatsAppList", "is missing; send the list of accounts"))?;
    let entries: Vec<AccountImport<JsonText<'_>>> = list
        .into_iter()
        .enumerate()
        .map(|(index, fields)| AccountImport::from_fields(fields, import, index))
        .collect::<Result<_, _>>()?;
    reject_duplicates(entries.iter().map(|entry| entry.account), ACCOUNT)?;
    Ok(entries)
}

/// Parses the accounts of batchRecycle: at most `max`, without duplicates. `None` means all accounts.
pub(super) fn parse_recycle(body: &[u8], max: usize) -> Result<Option<Vec<AccountNumber>>, ValidationError> {
    let Some(list) = parse_json(body, || AccountListSeed::<AccountNumberText>::new(max, UnknownFields::Reject))? else {
        return Ok(None);
    };
    let accounts: Vec<AccountNumber> = list.into_iter().map(|AccountNumberText(account)| account).collect();
    reject_duplicates(accounts.iter().copied(), "")?;
    Ok(Some(accounts))
}

/// Parses submitPhone. A phone that repeats its calling code, or has a trunk 0, is refused if the numbering plan rules it out.
pub(super) fn parse_submit_phone(body: &[u8]) -> Result<PhoneRegistration, ValidationError> {
    let fields = parse_json(body, || PhantomData::<PhoneFields<'_>>)?;
    let phone = required(fields.phone, "phone")?;
    let EnumCode(verify_type) = required(fields.verify_type, "verifyType")?;
    let EnumCode(account_type) = required(fields.account_type, "accountType")?;
    let area_code = required(fields.area_code, "areaCode")?;
    let country = required(fields.country_code, "countryCode")?;
    let (calling_code, account) = parse_account_number(&area_code, &phone)?;
    let countries = calling_code.countries();
    if countries.is_empty() {
        return Err(ValidationError::at_field(
            "areaCode",
            "is not the calling code of a country; give one, such as +86",
        ));
    }
    if !calling_code.serves(&country) {
        let words = format_args!("must be a country with the calling code +{calling_code}: {countries}");
        return Err(ValidationError::at_field("countryCode", words));
    }
    if let Some(probable) = probable_phone(calling_code, &phone) {
        return Err(ValidationError::at_field("phone", probable));
    }
    Ok(PhoneRegistration { account, verify_type, account_type, calling_code, country: country.to_ascii_uppercase() })
}

pub(super) fn parse_submit_verify_code(body: &[u8]) -> Result<SubmitVerifyCodeRequest<'_>, ValidationError> {
    let fields = parse_json(body, || PhantomData::<CodeFields<'_>>)?;
    let phone = required(fields.phone, "phone")?;
    let area_code = required(fields.area_code, "areaCode")?;
    let code = required(fields.verify_code, "verifyCode")?;
    let (_, account) = parse_account_number(&area_code, &phone)?;
    if code.len() > VERIFY_CODE_BYTES {
        let words = format_args!("has {} bytes; the limit is {VERIFY_CODE_BYTES}", code.len());
        return Err(ValidationError::at_field("verifyCode", words));
    }
    Ok(SubmitVerifyCodeRequest { account, code })
}

/// `?whatsApp=`: the only account to list.
pub(super) fn parse_account_query(query: &Query) -> Result<Option<AccountNumber>, ValidationError> {
    let account = single_value(query, "whatsApp")?;
    account
        .map(|number| number.parse().map_err(|malformed| ValidationError::at_field("whatsApp", malformed)))
        .transpose()
}

/// `?details=`: whether the response includes a result for each account.
pub(super) fn parse_details_query(query: &Query) -> Result<bool, ValidationError> {
    let Some(text) = single_value(query, "details")? else { return Ok(false) };
    parse_boolean(text).ok_or_else(|| ValidationError::at_field("details", "must be true or false"))
}

/// A boolean of a query, as clients write it: `true` or `1`, `false` or `0`, in any case.
fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

impl<'a> AccountImport<JsonText<'a>> {
    fn from_fields(
        fields: AccountFields<'a>,
        import: ImportKind,
        index: usize,
    ) -> Result<AccountImport<JsonText<'a>>, ValidationError> {
        let at = |field| FieldPath { index, field };
        let fault = |field, wrong| Err(ValidationError::at_field(&at(field).to_string(), wrong));
        let AccountNumberText(account) = required(fields.account, at(ACCOUNT))?;
        let replace = match (import, fields.replace) {
            (ImportKind::Insert, _) => false,
            (ImportKind::Online, Some(LenientBool::Bool(replace))) => replace,
            (ImportKind::Online, Some(LenientBool::NotBool)) => return fault(REPLACE, "must be true or false"),
            (ImportKind::Online, None) => return fault(REPLACE, MISSING_FLAG),
        };
        if let Some(field) = import.required_texts().find(|field| fields.texts.get(*field).is_none()) {
            return fault(field.name(), MISSING_TEXT);
        }
        let account_type = fields.account_type.map_or(AccountType::Personal, |EnumCode(account_type)| account_type);
        let labels = fields.labels.map(LabelEntries::parse).transpose();
        let labels = labels.map_err(|invalid| ValidationError::at_field(&at(LABELS).to_string(), invalid))?;
        let entry = AccountImport { account, replace, account_type, texts: fields.texts, labels };
        match entry.texts.iter().map(|text| text.len()).sum::<usize>() {
            bytes if bytes > CONTENT_BYTES => Err(ValidationError::at_field(
                &at("").to_string(),
                format_args!("has {bytes} bytes of text in all its fields; the limit is {CONTENT_BYTES}"),
            )),
            _ => Ok(entry),
        }
    }
}

const MISSING_TEXT: &str = "is missing; it is required, but may be empty";
const MISSING_FLAG: &str = "is missing; send true to replace the stored content, or false to keep it";

/// The path of an entry's field. It is formatted only for an error.
struct FieldPath {
    index: usize,
    /// Empty for the entry itself.
    field: &'static str,
}

impl Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.field.is_empty() { "" } else { "." };
        write!(f, "whatsAppList[{}]{separator}{}", self.index, self.field)
    }
}

fn required<T>(value: Option<T>, path: impl Display) -> Result<T, ValidationError> {
    value.ok_or_else(|| ValidationError::missing_field(&path.to_string()))
}

/// The calling code, and the account number: calling code and phone number joined.
fn parse_account_number(area_code: &str, phone: &str) -> Result<(CallingCode, AccountNumber), ValidationError> {
    let calling_code: CallingCode =
        area_code.parse().map_err(|malformed| ValidationError::at_field("areaCode", malformed))?;
    if phone.is_empty() || !phone.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValidationError::at_field("phone", "must be digits only, without the calling code"));
    }
    let number = format!("{calling_code}{phone}").parse().map_err(|malformed| match malformed {
        MalformedAccountNumber::Length(digits) => ValidationError::new(format_args!(
            "areaCode and phone must have {ACCOUNT_DIGITS_MIN} to {ACCOUNT_DIGITS_MAX} digits together, not {digits}"
        )),
        MalformedAccountNumber::NotDigits | MalformedAccountNumber::LeadingZero => {
            ValidationError::at_field("phone", malformed)
        }
    })?;
    Ok((calling_code, number))
}

/// Rejects a list that contains an account twice. `field` names the number's field; empty if the entry is the number.
fn reject_duplicates(
    accounts: impl ExactSizeIterator<Item = AccountNumber>,
    field: &'static str,
) -> Result<(), ValidationError> {
    if accounts.len() < 2 {
        return Ok(());
    }
    let mut indexed: Vec<(AccountNumber, usize)> = accounts.zip(0..).collect();
    indexed.sort_unstable();
    let repeats = indexed.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    match repeats.map(|pair| (pair[1].1, pair[0])).min() {
        None => Ok(()),
        Some((index, (account, first))) => Err(ValidationError::at_field(
            &FieldPath { index, field }.to_string(),
            format_args!("repeats {account}, as in whatsAppList[{first}]; list each account once"),
        )),
    }
}

/// The value of a parameter that must not be repeated.
fn single_value<'q>(query: &'q Query, name: &str) -> Result<Option<&'q str>, ValidationError> {
    let mut values = query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(ValidationError::at_field(name, "is given twice in the URL; give it once")),
    }
}
