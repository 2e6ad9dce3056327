//! The kinds of settings: how a value is read, checked and written.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::{Empty, Num, Value};

use super::secret_text::{SecretText, is_master_key, parse_headers};
use super::setting_enums::NamedEnum;
use super::text_parsing::{
    format_duration, is_base_url, is_listen_address, is_log_filter, is_receiver_url, parse_duration, parse_whole_number,
};
use crate::client::Network;
use crate::domain::RoutingRule;
use crate::limits::{
    COLLECTOR_HEADERS, MASTER_KEY_COMMAND_WORDS, SETTABLE_DURATION, SETTABLE_NAME_BYTES, SETTABLE_NETWORKS,
    SETTABLE_RETRY_WAITS, SETTABLE_RULES,
};

/// Returns the field of a setting, within the settings `S`.
pub(super) type FieldAccessor<S, T> = fn(&mut S) -> &mut T;

/// The kind of a setting's values, with the field that stores them, and with their bounds.
pub(super) enum SettingKind<S> {
    /// A directory.
    Directory(FieldAccessor<S, PathBuf>),
    /// A file, or none.
    File(FieldAccessor<S, Option<PathBuf>>),
    /// A program and its arguments, or none.
    Command(FieldAccessor<S, Option<Vec<String>>>),
    /// A master key, or none. Secret.
    MasterKey(FieldAccessor<S, Option<SecretText>>),
    /// HTTP headers, or none. Secret.
    Headers(FieldAccessor<S, Option<SecretText>>),
    /// Another secret, or none; with its check and its description.
    Secret(FieldAccessor<S, Option<SecretText>>, fn(&str) -> bool, &'static str),
    /// A text, or none; with its check and its description.
    Text(FieldAccessor<S, Option<String>>, fn(&str) -> bool, &'static str),
    /// Rules that choose the gateway of an account.
    Rules(FieldAccessor<S, Vec<RoutingRule>>),
    /// The name under which collectors know the service.
    ServiceName(FieldAccessor<S, String>),
    /// A share, from 0 to 1.
    Ratio(FieldAccessor<S, f64>),
    /// An address to listen on.
    ListenAddress(FieldAccessor<S, String>),
    /// A receiver's whole URL, or none.
    ReceiverUrl(FieldAccessor<S, Option<String>>),
    /// A URL that paths are appended to, or none.
    BaseUrl(FieldAccessor<S, Option<String>>),
    /// True or false.
    Bool(FieldAccessor<S, bool>),
    /// A count.
    Count(FieldAccessor<S, usize>, RangeInclusive<u64>),
    /// A count that may exceed `usize`.
    Size(FieldAccessor<S, u64>, RangeInclusive<u64>),
    /// A duration.
    Duration(FieldAccessor<S, Duration>),
    /// A duration as a whole number of milliseconds.
    Milliseconds(FieldAccessor<S, Duration>, RangeInclusive<u64>),
    /// A list of durations, which may be empty; each may be zero.
    Durations(FieldAccessor<S, Vec<Duration>>),
    /// A log filter.
    LogFilter(FieldAccessor<S, String>),
    /// Networks, or none.
    Networks(FieldAccessor<S, Option<Vec<Network>>>),
    /// A value of an enumeration.
    Enum(fn(&mut S) -> &mut dyn EnumField),
}

/// A field that is an enumeration.
pub(super) trait EnumField {
    /// The names of all values, as a continuation of "must be".
    fn names(&self) -> String;
    /// The name of the current value.
    fn current_name(&self) -> &'static str;
    /// Sets the value with this name. `None` if there is no such value.
    fn set_by_name(&mut self, name: &str) -> Option<()>;
}

impl<T: NamedEnum> EnumField for T {
    fn names(&self) -> String {
        T::ALL.iter().map(EnumField::current_name).collect::<Vec<_>>().join(" or ")
    }

    fn current_name(&self) -> &'static str {
        NamedEnum::name(*self)
    }

    fn set_by_name(&mut self, name: &str) -> Option<()> {
        *self = T::ALL.iter().copied().find(|value| value.current_name() == name)?;
        Some(())
    }
}

impl<S: Clone + Default> SettingKind<S> {
    /// Parses `value` into its field in `settings`. `None` if the value is not what
    /// [`describe_expected`](SettingKind::describe_expected) describes.
    pub(super) fn parse_into(&self, value: &Value, settings: &mut S) -> Option<()> {
        match self {
            SettingKind::Directory(field) => *field(settings) = parse_optional(value)?.map(PathBuf::from)?,
            SettingKind::File(field) => *field(settings) = parse_optional(value)?.map(PathBuf::from),
            SettingKind::Command(field) => *field(settings) = parse_command(value)?,
            SettingKind::MasterKey(field) => *field(settings) = parse_secret(value, is_master_key)?,
            SettingKind::Headers(field) => {
                *field(settings) = parse_secret(value, |text| parse_headers(text).is_some())?;
            }
            SettingKind::Secret(field, is_good, _) => *field(settings) = parse_secret(value, *is_good)?,
            SettingKind::Text(field, is_good, _) => *field(settings) = parse_optional_checked(value, *is_good)?,
            SettingKind::Rules(field) => *field(settings) = parse_rules(value)?,
            SettingKind::ServiceName(field) => *field(settings) = parse_checked(value, is_service_name)?,
            SettingKind::Ratio(field) => *field(settings) = parse_ratio(value)?,
            SettingKind::ListenAddress(field) => *field(settings) = parse_checked(value, is_listen_address)?,
            SettingKind::ReceiverUrl(field) => *field(settings) = parse_optional_checked(value, is_receiver_url)?,
            SettingKind::BaseUrl(field) => *field(settings) = parse_optional_checked(value, is_base_url)?,
            SettingKind::Bool(field) => *field(settings) = parse_bool(value)?,
            SettingKind::Count(field, range) => *field(settings) = usize::try_from(parse_number(value, range)?).ok()?,
            SettingKind::Size(field, range) => *field(settings) = parse_number(value, range)?,
            SettingKind::Duration(field) => *field(settings) = parse_bounded_duration(value)?,
            SettingKind::Milliseconds(field, range) => {
                *field(settings) = Duration::from_millis(parse_number(value, range)?);
            }
            SettingKind::Durations(field) => *field(settings) = parse_durations(value)?,
            SettingKind::LogFilter(field) => *field(settings) = parse_checked(value, is_log_filter)?,
            SettingKind::Networks(field) => *field(settings) = parse_networks(value)?,
            SettingKind::Enum(field) => field(settings).set_by_name(value.as_str()?.trim())?,
        }
        Some(())
    }

    /// Describes a valid value, as a continuation of "must be". Has an example where a description is not enough.
    pub(super) fn describe_expected(&self) -> String {
        match self {
            SettingKind::Directory(_) => "the path of a directory".to_owned(),
            SettingKind::File(_) => "the path of a file".to_owned(),
            SettingKind::Command(_) => format!(
                "a program and its arguments, at most {MASTER_KEY_COMMAND_WORDS} words, as a list or separated by \
                 spaces"
            ),
            SettingKind::MasterKey(_) => "a master key of 64 hexadecimal digits".to_owned(),
            SettingKind::Headers(_) => format!(
                "at most {COLLECTOR_HEADERS} headers separated by commas, such as authorization=Bearer 5f0a,x-tenant=7"
            ),
            SettingKind::Secret(_, _, description) | SettingKind::Text(_, _, description) => (*description).to_owned(),
            SettingKind::Rules(_) => format!(
                "at most {SETTABLE_RULES} rules separated by commas; each is an account type or the first digits of \
                 numbers, = and a gateway, such as business=cloud_api,49=bridge"
            ),
            SettingKind::ServiceName(_) => format!("1 to {SETTABLE_NAME_BYTES} visible ASCII characters"),
            SettingKind::Ratio(_) => "a number from 0 to 1, such as 0.1".to_owned(),
            SettingKind::ListenAddress(_) => "host:port, such as 127.0.0.1:8080 or localhost:0".to_owned(),
            SettingKind::ReceiverUrl(_) => "an http or https URL without a #fragment, such as \
                https://example.com/status"
                .to_owned(),
            SettingKind::BaseUrl(_) => {
                "an http or https URL without query and fragment, such as https://example.com/hooks".to_owned()
            }
            SettingKind::Bool(_) => "true or false".to_owned(),
            SettingKind::Count(_, range) | SettingKind::Size(_, range) => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            SettingKind::Duration(_) => {
                let [least, most] = [SETTABLE_DURATION.start(), SETTABLE_DURATION.end()].map(|it| format_duration(*it));
                format!("a duration from {least} to {most}, such as 10s, 500ms or 1h30m")
            }
            SettingKind::Milliseconds(_, range) => {
                format!("a whole number of milliseconds from {} to {}", range.start(), range.end())
            }
            SettingKind::Durations(_) => {
                let most = format_duration(*SETTABLE_DURATION.end());
                format!(
                    "at most {SETTABLE_RETRY_WAITS} durations up to {most}, separated by commas, such as 10s,30s,3m"
                )
            }
            SettingKind::LogFilter(_) => "levels (off, error, warn, info, debug, trace) or targets with a level; \
                targets in muster are module names, and at least one entry is a level alone or in muster and of no \
                span, such as info or info,muster::webhooks=debug"
                .to_owned(),
            SettingKind::Networks(_) => {
                format!("at most {SETTABLE_NETWORKS} networks separated by commas, such as 10.0.0.0/8,fd00::/8")
            }
            SettingKind::Enum(field) => field(&mut S::default()).names(),
        }
    }

    /// The value in `settings`, as the file would have it.
    pub(super) fn to_value(&self, settings: &S) -> Value {
        // The accessors need a mutable value, so reading works on a copy.
        let mut settings = settings.clone();
        match self {
            SettingKind::Directory(field) => field(&mut settings).display().to_string().into(),
            SettingKind::File(field) => or_null(field(&mut settings).as_ref().map(|path| path.display().to_string())),
            SettingKind::Command(field) => field(&mut settings).take().map_or_else(|| or_null(None), Value::from),
            SettingKind::MasterKey(field) | SettingKind::Headers(field) | SettingKind::Secret(field, ..) => {
                or_null(field(&mut settings).as_ref().map(|_| "***".to_owned()))
            }
            SettingKind::Ratio(field) => (*field(&mut settings)).into(),
            SettingKind::ListenAddress(field) | SettingKind::LogFilter(field) | SettingKind::ServiceName(field) => {
                field(&mut settings).as_str().into()
            }
            SettingKind::ReceiverUrl(field) | SettingKind::BaseUrl(field) | SettingKind::Text(field, ..) => {
                or_null(field(&mut settings).take())
            }
            SettingKind::Rules(field) => {
                field(&mut settings).iter().map(RoutingRule::to_string).collect::<Vec<_>>().into()
            }
            SettingKind::Bool(field) => (*field(&mut settings)).into(),
            SettingKind::Count(field, _) => (*field(&mut settings)).into(),
            SettingKind::Size(field, _) => (*field(&mut settings)).into(),
            SettingKind::Duration(field) => format_duration(*field(&mut settings)).into(),
            SettingKind::Milliseconds(field, _) => field(&mut settings).as_millis().into(),
            SettingKind::Durations(field) => {
                field(&mut settings).iter().map(|wait| format_duration(*wait)).collect::<Vec<_>>().into()
            }
            SettingKind::Networks(field) => match field(&mut settings) {
                Some(networks) => networks.iter().map(Network::to_string).collect::<Vec<_>>().into(),
                None => or_null(None),
            },
            SettingKind::Enum(field) => field(&mut settings).current_name().into(),
        }
    }

    /// Whether its values are secrets, which only the environment may set.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, SettingKind::MasterKey(_) | SettingKind::Headers(_) | SettingKind::Secret(..))
    }

    /// Whether its values are URLs, which may hold a password.
    pub(super) fn is_url(&self) -> bool {
        match self {
            SettingKind::ReceiverUrl(_) | SettingKind::BaseUrl(_) => true,
            SettingKind::Directory(_)
            | SettingKind::File(_)
            | SettingKind::Command(_)
            | SettingKind::MasterKey(_)
            | SettingKind::Headers(_)
            | SettingKind::Secret(..)
            | SettingKind::Text(..)
            | SettingKind::Rules(_)
            | SettingKind::ServiceName(_)
            | SettingKind::Ratio(_)
            | SettingKind::ListenAddress(_)
            | SettingKind::Bool(_)
            | SettingKind::Count(..)
            | SettingKind::Size(..)
            | SettingKind::Duration(_)
            | SettingKind::Milliseconds(..)
            | SettingKind::Durations(_)
            | SettingKind::LogFilter(_)
            | SettingKind::Networks(_)
            | SettingKind::Enum(_) => false,
        }
    }
}

/// A text. An empty text means no value, so that the environment can remove a value that the file sets.
fn parse_optional(value: &Value) -> Option<Option<&str>> {
    let text = value.as_str()?.trim();
    Some((!text.is_empty()).then_some(text))
}

/// A secret, or none.
fn parse_secret(value: &Value, is_good: fn(&str) -> bool) -> Option<Option<SecretText>> {
    match parse_optional(value)? {
        Some(text) => is_good(text).then(|| Some(SecretText::new(text))),
        None => Some(None),
    }
}

fn parse_checked(value: &Value, is_good: fn(&str) -> bool) -> Option<String> {
    parse_optional(value)?.filter(|text| is_good(text)).map(str::to_owned)
}

fn parse_optional_checked(value: &Value, is_good: fn(&str) -> bool) -> Option<Option<String>> {
    match parse_optional(value)? {
        Some(_) => parse_checked(value, is_good).map(Some),
        None => Some(None),
    }
}

/// A boolean, or its text: in the environment every value is a text.
fn parse_bool(value: &Value) -> Option<bool> {
    value.to_bool().or_else(|| value.as_str()?.trim().parse().ok())
}

fn parse_number(value: &Value, range: &RangeInclusive<u64>) -> Option<u64> {
    match value.to_num() {
        Some(number) => number.to_u128_lossy().and_then(|number| u64::try_from(number).ok()),
        None => parse_whole_number(value.as_str()?.trim(), range),
    }
    .filter(|number| range.contains(number))
}

fn parse_bounded_duration(value: &Value) -> Option<Duration> {
    parse_duration(value.as_str()?.trim()).filter(|duration| SETTABLE_DURATION.contains(duration))
}

/// A list, or a text with commas between its items.
fn parse_list(value: &Value) -> Option<Vec<&str>> {
    match value.as_array() {
        Some(values) => values.iter().map(Value::as_str).collect(),
        None => Some(parse_optional(value)?.map_or_else(Vec::new, |text| text.split(',').collect())),
    }
}

/// Networks. An empty text means not set; an empty list allows no network.
fn parse_networks(value: &Value) -> Option<Option<Vec<Network>>> {
    if value.as_array().is_none() && parse_optional(value)?.is_none() {
        return Some(None);
    }
    let networks = parse_list(value)?.into_iter().map(|text| text.trim().parse().ok()).collect::<Option<Vec<_>>>()?;
    (networks.len() <= SETTABLE_NETWORKS).then_some(Some(networks))
}

fn parse_rules(value: &Value) -> Option<Vec<RoutingRule>> {
    let rules = parse_list(value)?.into_iter().map(|text| text.trim().parse().ok()).collect::<Option<Vec<_>>>()?;
    (rules.len() <= SETTABLE_RULES).then_some(rules)
}

/// A program and its arguments. It runs without a shell, so no character has a special meaning.
fn parse_command(value: &Value) -> Option<Option<Vec<String>>> {
    let words: Vec<String> = match value.as_array() {
        Some(values) => values.iter().map(|word| Some(word.as_str()?.to_owned())).collect::<Option<_>>()?,
        None => value.as_str()?.split_whitespace().map(str::to_owned).collect(),
    };
    let is_good = words.first().is_none_or(|program| !program.is_empty()) && words.len() <= MASTER_KEY_COMMAND_WORDS;
    is_good.then_some((!words.is_empty()).then_some(words))
}

fn parse_durations(value: &Value) -> Option<Vec<Duration>> {
    let texts = parse_list(value)?;
    let wait = |text: &str| parse_duration(text.trim()).filter(|wait| wait <= SETTABLE_DURATION.end());
    let waits = texts.into_iter().map(wait).collect::<Option<Vec<_>>>()?;
    (waits.len() <= SETTABLE_RETRY_WAITS).then_some(waits)
}

fn parse_ratio(value: &Value) -> Option<f64> {
    // The file may have 1 for 1.0.
    let whole = |number: Num| number.to_u128_lossy().and_then(|number| u8::try_from(number).ok()).map(f64::from);
    let number = value.to_num().and_then(|number| number.to_f64().or_else(|| whole(number)));
    number.or_else(|| value.as_str()?.trim().parse().ok()).filter(|share| (0.0..=1.0).contains(share))
}

fn is_service_name(text: &str) -> bool {
    text.len() <= SETTABLE_NAME_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn or_null(text: Option<String>) -> Value {
    text.map_or_else(|| Empty::None.into(), Value::from)
}
