//! Bodies and queries into what is asked, checked whole: whatever comes out of here is well-formed. Pure.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use super::fault::{Fault, parse};
use super::fields::{AccountFields, Batch, CodeFields, PhoneFields, UnknownFields};
use super::json::{Flag, Number, Term, Text};
use crate::domain::{AccountNumber, AccountType, CallingCode, MalformedNumber, VerifyType};
use crate::limits::{ACCOUNT_DIGITS_MAX, ACCOUNT_DIGITS_MIN, CONTENT_BYTES, VERIFY_CODE_BYTES};
use crate::vault::ClearContent;

/// The two endpoints that send accounts with their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Import {
    /// batchInsert: `accountId` is required.
    Insert,
    /// batchOnline: `override` is required.
    Online,
}

/// One account of batchInsert or batchOnline. No `Debug`: it holds secrets.
pub(super) struct Entry<'a> {
    pub(super) account: AccountNumber,
    /// `override`; false for batchInsert.
    pub(super) replace: bool,
    account_type: AccountType,
    name: Option<Text<'a>>,
    avatar: Option<Text<'a>>,
    public_key: Text<'a>,
    private_key: Text<'a>,
    msg_public_key: Text<'a>,
    msg_private_key: Text<'a>,
    account_id: Option<Text<'a>>,
    next_key_id: Option<Text<'a>>,
    registration_id: Option<Text<'a>>,
    device_params: Option<Text<'a>>,
}

/// What submitPhone asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) account: AccountNumber,
    pub(super) verify_type: VerifyType,
    pub(super) account_type: AccountType,
    pub(super) calling_code: CallingCode,
    /// ISO 3166-1 alpha-2, upper case.
    pub(super) country: String,
}

/// What submitVerifyCode asks. No `Debug`: it holds a secret.
pub(super) struct Code<'a> {
    pub(super) account: AccountNumber,
    pub(super) code: Text<'a>,
}

/// The query of a URL, decoded, in order.
pub(super) type Query = Vec<(String, String)>;

/// The accounts of batchInsert or batchOnline, at most `max`, none twice.
pub(super) fn imports(body: &[u8], import: Import, max: usize) -> Result<Vec<Entry<'_>>, Fault> {
    let list = parse(body, || Batch::<AccountFields<'_>>::new(max, UnknownFields::Ignored))?;
    let list = list.ok_or_else(|| Fault::at("whatsAppList", "is missing; send the list of accounts"))?;
    let entries: Vec<Entry<'_>> = list
        .into_iter()
        .enumerate()
        .map(|(index, fields)| Entry::check(fields, import, index))
        .collect::<Result<_, _>>()?;
    refuse_repeats(entries.iter().map(|entry| entry.account), ".whatsApp")?;
    Ok(entries)
}

/// The accounts of batchRecycle, at most `max`, none twice; no list means all accounts.
pub(super) fn recycled(body: &[u8], max: usize) -> Result<Option<Vec<AccountNumber>>, Fault> {
    let Some(list) = parse(body, || Batch::<Number>::new(max, UnknownFields::Refused))? else { return Ok(None) };
    let accounts: Vec<AccountNumber> = list.into_iter().map(|Number(account)| account).collect();
    refuse_repeats(accounts.iter().copied(), "")?;
    Ok(Some(accounts))
}

/// The body of submitPhone.
pub(super) fn registration(body: &[u8]) -> Result<Registration, Fault> {
    let fields = parse(body, || PhantomData::<PhoneFields<'_>>)?;
    let phone = required(fields.phone, "phone")?;
    let Term(verify_type) = required(fields.verify_type, "verifyType")?;
    let Term(account_type) = required(fields.account_type, "accountType")?;
    let area_code = required(fields.area_code, "areaCode")?;
    let country = required(fields.country_code, "countryCode")?;
    let (calling_code, account) = account_number(&area_code, &phone)?;
    let countries = calling_code.countries();
    if countries.is_empty() {
        return Err(Fault::at("areaCode", "is the calling code of no country; give one that is, as in +86"));
    }
    if !calling_code.serves(&country) {
        let words = format_args!("must be a country of the calling code +{calling_code}, which has {countries}");
        return Err(Fault::at("countryCode", words));
    }
    Ok(Registration { account, verify_type, account_type, calling_code, country: country.to_ascii_uppercase() })
}

/// The body of submitVerifyCode.
pub(super) fn code(body: &[u8]) -> Result<Code<'_>, Fault> {
    let fields = parse(body, || PhantomData::<CodeFields<'_>>)?;
    let phone = required(fields.phone, "phone")?;
    let area_code = required(fields.area_code, "areaCode")?;
    let code = required(fields.verify_code, "verifyCode")?;
    let (_, account) = account_number(&area_code, &phone)?;
    if code.len() > VERIFY_CODE_BYTES {
        let words = format_args!("has {} bytes; at most {VERIFY_CODE_BYTES} are taken", code.len());
        return Err(Fault::at("verifyCode", words));
    }
    Ok(Code { account, code })
}

/// `?whatsApp=`: the one account that is asked for.
pub(super) fn wanted_account(query: &Query) -> Result<Option<AccountNumber>, Fault> {
    let wanted = only(query, "whatsApp")?;
    wanted.map(|number| number.parse().map_err(|malformed| Fault::at("whatsApp", malformed))).transpose()
}

/// `?details=`: whether the answer is to have a verdict for each account.
pub(super) fn wants_details(query: &Query) -> Result<bool, Fault> {
    match only(query, "details")? {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Fault::at("details", "must be true or false")),
    }
}

impl<'a> Entry<'a> {
    /// What comes with the account, for the vault.
    pub(super) fn content(&self) -> ClearContent<'_> {
        ClearContent {
            account_type: self.account_type,
            name: self.name.as_deref(),
            avatar: self.avatar.as_deref(),
            public_key: &self.public_key,
            private_key: &self.private_key,
            msg_public_key: &self.msg_public_key,
            msg_private_key: &self.msg_private_key,
            account_id: self.account_id.as_deref(),
            next_key_id: self.next_key_id.as_deref(),
            registration_id: self.registration_id.as_deref(),
            device_params: self.device_params.as_deref(),
        }
    }

    fn check(fields: AccountFields<'a>, import: Import, index: usize) -> Result<Entry<'a>, Fault> {
        let at = |field| Place { index, field };
        let Number(account) = required(fields.whats_app, at(".whatsApp"))?;
        let replace = match (import, fields.replace) {
            (Import::Insert, _) => false,
            (Import::Online, Some(Flag::Is(replace))) => replace,
            (Import::Online, Some(Flag::Other)) => {
                return Err(Fault::at(&at(".override").to_string(), "must be true or false"));
            }
            (Import::Online, None) => return Err(Fault::at(&at(".override").to_string(), MISSING_FLAG)),
        };
        if import == Import::Insert && fields.account_id.is_none() {
            return Err(Fault::at(&at(".accountId").to_string(), MISSING_TEXT));
        }
        let text = |text: Option<Text<'a>>, field| text.ok_or_else(|| Fault::at(&at(field).to_string(), MISSING_TEXT));
        let entry = Entry {
            account,
            replace,
            account_type: fields.whatsapp_type.map_or(AccountType::Personal, |Term(account_type)| account_type),
            name: fields.name,
            avatar: fields.avatar,
            public_key: text(fields.public_key, ".publicKey")?,
            private_key: text(fields.private_key, ".privateKey")?,
            msg_public_key: text(fields.msg_public_key, ".msgPublicKey")?,
            msg_private_key: text(fields.msg_private_key, ".msgPrivateKey")?,
            account_id: fields.account_id,
            next_key_id: fields.next_key_id,
            registration_id: fields.registration_id,
            device_params: fields.device_params,
        };
        match entry.text_bytes() {
            bytes if bytes > CONTENT_BYTES => Err(Fault::at(
                &at("").to_string(),
                format_args!("has {bytes} bytes in its texts together; at most {CONTENT_BYTES} are taken"),
            )),
            _ => Ok(entry),
        }
    }

    /// Bytes in all texts together.
    fn text_bytes(&self) -> usize {
        let required = [&self.public_key, &self.private_key, &self.msg_public_key, &self.msg_private_key];
        let optional =
            [&self.name, &self.avatar, &self.account_id, &self.next_key_id, &self.registration_id, &self.device_params];
        required.into_iter().chain(optional.into_iter().flatten()).map(|text| text.len()).sum()
    }
}

const MISSING_TEXT: &str = "is missing; it is required, though it may be empty";
const MISSING_FLAG: &str = "is missing; send true to replace what is stored, false to keep it";

/// The path of an entry's field, written out only for a fault.
struct Place {
    index: usize,
    /// With its dot; empty for the entry itself.
    field: &'static str,
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "whatsAppList[{}]{}", self.index, self.field)
    }
}

fn required<T>(value: Option<T>, path: impl Display) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::missing(&path.to_string()))
}

/// The calling code, and the account number that it makes with the phone number behind it.
fn account_number(area_code: &str, phone: &str) -> Result<(CallingCode, AccountNumber), Fault> {
    let calling_code: CallingCode = area_code.parse().map_err(|malformed| Fault::at("areaCode", malformed))?;
    if phone.is_empty() || !phone.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::at("phone", "must be digits only, without the country code"));
    }
    let number = format!("{calling_code}{phone}").parse().map_err(|malformed| match malformed {
        MalformedNumber::Length(digits) => Fault::new(format_args!(
            "areaCode and phone must have {ACCOUNT_DIGITS_MIN} to {ACCOUNT_DIGITS_MAX} digits together, not {digits}"
        )),
        MalformedNumber::NotDigits | MalformedNumber::LeadingZero => Fault::at("phone", malformed),
    })?;
    Ok((calling_code, number))
}

/// Refuses a list with an account in it twice; `field` is where in an entry the number stands.
fn refuse_repeats(accounts: impl ExactSizeIterator<Item = AccountNumber>, field: &'static str) -> Result<(), Fault> {
    if accounts.len() < 2 {
        return Ok(());
    }
    let mut placed: Vec<(AccountNumber, usize)> = accounts.zip(0..).collect();
    placed.sort_unstable();
    let repeats = placed.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    match repeats.map(|pair| (pair[1].1, pair[0])).min() {
        None => Ok(()),
        Some((index, (account, first))) => Err(Fault::at(
            &Place { index, field }.to_string(),
            format_args!("is {account} again, as in whatsAppList[{first}]; list each account once"),
        )),
    }
}

/// The value of a parameter that may be given once.
fn only<'q>(query: &'q Query, name: &str) -> Result<Option<&'q str>, Fault> {
    let mut values = query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Fault::at(name, "is given twice in the URL; give it once")),
    }
}
