//! The kinds of settings: how a value is read, checked and written.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::{Empty, Num, Value};

use super::secret::{SecretText, headers, is_master_key};
use super::settings::{Settings, Word};
use super::text::{duration, is_address, is_base_of_receivers, is_log_filter, is_receiver, whole_number, written};
use crate::client::Network;
use crate::domain::Rule;
use crate::limits::{
    COLLECTOR_HEADERS, MASTER_KEY_COMMAND_WORDS, SETTABLE_DURATION, SETTABLE_NAME_BYTES, SETTABLE_NETWORKS,
    SETTABLE_RETRY_WAITS, SETTABLE_RULES,
};

/// Where in the settings a value belongs.
pub(super) type Place<T> = fn(&mut Settings) -> &mut T;

/// What the values of a setting are, their bounds, and where they belong.
pub(super) enum Kind {
    /// A directory.
    Directory(Place<PathBuf>),
    /// A file, or none.
    File(Place<Option<PathBuf>>),
    /// A program and its arguments, or none.
    Command(Place<Option<Vec<String>>>),
    /// A master key, or none. Secret.
    MasterKey(Place<Option<SecretText>>),
    /// Headers of HTTP, or none. Secret.
    Headers(Place<Option<SecretText>>),
    /// Another secret, or none: how it looks, and in words.
    Secret(Place<Option<SecretText>>, fn(&str) -> bool, &'static str),
    /// A text, or none: how it looks, and in words.
    Text(Place<Option<String>>, fn(&str) -> bool, &'static str),
    /// Rules that say which gateway serves whom.
    Rules(Place<Vec<Rule>>),
    /// What others know the service by.
    Name(Place<String>),
    /// A part of the whole.
    Share(Place<f64>),
    /// An address to listen on.
    Address(Place<String>),
    /// A receiver's whole URL, or none.
    Url(Place<Option<String>>),
    /// A URL that paths are appended to, or none.
    BaseUrl(Place<Option<String>>),
    /// Yes or no.
    Switch(Place<bool>),
    /// How many.
    Count(Place<usize>, RangeInclusive<u64>),
    /// How many, where there may be very many.
    Size(Place<u64>, RangeInclusive<u64>),
    /// How long.
    Duration(Place<Duration>),
    /// How long, as a whole number of milliseconds.
    Milliseconds(Place<Duration>, RangeInclusive<u64>),
    /// How long each time; none at all is allowed, and so is no wait.
    Waits(Place<Vec<Duration>>),
    /// What is logged.
    Filter(Place<String>),
    /// Networks, or none.
    Networks(Place<Option<Vec<Network>>>),
    /// One of a few words.
    Choice(fn(&mut Settings) -> &mut dyn Choice),
}

/// What is chosen by a word, whatever it is.
pub(super) trait Choice {
    /// The words there are, to stand after "must be".
    fn words(&self) -> String;
    /// The word for what is chosen.
    fn word(&self) -> &'static str;
    /// Takes what `word` stands for. None if it is no such word.
    fn choose(&mut self, word: &str) -> Option<()>;
}

impl<T: Word> Choice for T {
    fn words(&self) -> String {
        T::ALL.iter().map(Choice::word).collect::<Vec<_>>().join(" or ")
    }

    fn word(&self) -> &'static str {
        Word::word(*self)
    }

    fn choose(&mut self, word: &str) -> Option<()> {
        *self = T::ALL.iter().copied().find(|it| it.word() == word)?;
        Some(())
    }
}

impl Kind {
    /// Reads `value` into its place in `settings`. None if it is not as [`expected`](Kind::expected).
    pub(super) fn read(&self, value: &Value, settings: &mut Settings) -> Option<()> {
        match self {
            Kind::Directory(place) => *place(settings) = optional(value)?.map(PathBuf::from)?,
            Kind::File(place) => *place(settings) = optional(value)?.map(PathBuf::from),
            Kind::Command(place) => *place(settings) = command(value)?,
            Kind::MasterKey(place) => *place(settings) = secret(value, is_master_key)?,
            Kind::Headers(place) => *place(settings) = secret(value, |text| headers(text).is_some())?,
            Kind::Secret(place, is_good, _) => *place(settings) = secret(value, *is_good)?,
            Kind::Text(place, is_good, _) => *place(settings) = optionally_checked(value, *is_good)?,
            Kind::Rules(place) => *place(settings) = rules(value)?,
            Kind::Name(place) => *place(settings) = checked(value, is_name)?,
            Kind::Share(place) => *place(settings) = share(value)?,
            Kind::Address(place) => *place(settings) = checked(value, is_address)?,
            Kind::Url(place) => *place(settings) = optionally_checked(value, is_receiver)?,
            Kind::BaseUrl(place) => *place(settings) = optionally_checked(value, is_base_of_receivers)?,
            Kind::Switch(place) => *place(settings) = switch(value)?,
            Kind::Count(place, range) => *place(settings) = usize::try_from(number(value, range)?).ok()?,
            Kind::Size(place, range) => *place(settings) = number(value, range)?,
            Kind::Duration(place) => *place(settings) = bounded_duration(value)?,
            Kind::Milliseconds(place, range) => *place(settings) = Duration::from_millis(number(value, range)?),
            Kind::Waits(place) => *place(settings) = waits(value)?,
            Kind::Filter(place) => *place(settings) = checked(value, is_log_filter)?,
            Kind::Networks(place) => *place(settings) = networks(value)?,
            Kind::Choice(place) => place(settings).choose(value.as_str()?.trim())?,
        }
        Some(())
    }

    /// What a value must be, to go on after "must be", with an example where words do not do.
    pub(super) fn expected(&self) -> String {
        match self {
            Kind::Directory(_) => "the path of a directory".to_owned(),
            Kind::File(_) => "the path of a file".to_owned(),
            Kind::Command(_) => format!(
                "a program and its arguments, at most {MASTER_KEY_COMMAND_WORDS} words, in a list or with blanks between"
            ),
            Kind::MasterKey(_) => "a master key, which is 64 hexadecimal digits".to_owned(),
            Kind::Headers(_) => format!(
                "at most {COLLECTOR_HEADERS} headers with commas between, as in authorization=Bearer 5f0a,x-tenant=7"
            ),
            Kind::Secret(_, _, words) | Kind::Text(_, _, words) => (*words).to_owned(),
            Kind::Rules(_) => format!(
                "at most {SETTABLE_RULES} rules with commas between, each an account type or the first digits of numbers, = and a gateway, as in business=cloud_api,49=bridge"
            ),
            Kind::Name(_) => format!("1 to {SETTABLE_NAME_BYTES} visible ASCII characters"),
            Kind::Share(_) => "a number from 0 to 1, as in 0.1".to_owned(),
            Kind::Address(_) => "host:port, as in 127.0.0.1:8080 or localhost:0".to_owned(),
            Kind::Url(_) => "an http or https URL, as in https://example.com/status".to_owned(),
            Kind::BaseUrl(_) => {
                "an http or https URL without query and fragment, as in https://example.com/hooks".to_owned()
            }
            Kind::Switch(_) => "true or false".to_owned(),
            Kind::Count(_, range) | Kind::Size(_, range) => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            Kind::Duration(_) => {
                let [least, most] = [SETTABLE_DURATION.start(), SETTABLE_DURATION.end()].map(|it| written(*it));
                format!("a duration from {least} to {most}, as in 10s, 500ms or 1h30m")
            }
            Kind::Milliseconds(_, range) => {
                format!("a whole number of milliseconds from {} to {}", range.start(), range.end())
            }
            Kind::Waits(_) => {
                let most = written(*SETTABLE_DURATION.end());
                format!("at most {SETTABLE_RETRY_WAITS} durations up to {most} with commas between, as in 10s,30s,3m")
            }
            Kind::Filter(_) => "levels (off, error, warn, info, debug, trace) or targets with a level, at least one of them a level alone \
                                or a target in muster, as in info or info,muster::webhooks=debug"
                .to_owned(),
            Kind::Networks(_) => {
                format!("at most {SETTABLE_NETWORKS} networks with commas between, as in 10.0.0.0/8,fd00::/8")
            }
            Kind::Choice(place) => place(&mut Settings::default()).words(),
        }
    }

    /// The value in `settings`, as it would be given in the file.
    pub(super) fn write(&self, settings: &Settings) -> Value {
        // Places are for reading into; to look, a copy will do.
        let mut settings = settings.clone();
        match self {
            Kind::Directory(place) => place(&mut settings).display().to_string().into(),
            Kind::File(place) => or_nothing(place(&mut settings).as_ref().map(|path| path.display().to_string())),
            Kind::Command(place) => place(&mut settings).take().map_or_else(|| or_nothing(None), Value::from),
            Kind::MasterKey(place) | Kind::Headers(place) | Kind::Secret(place, ..) => {
                or_nothing(place(&mut settings).as_ref().map(|_| "***".to_owned()))
            }
            Kind::Share(place) => (*place(&mut settings)).into(),
            Kind::Address(place) | Kind::Filter(place) | Kind::Name(place) => place(&mut settings).as_str().into(),
            Kind::Url(place) | Kind::BaseUrl(place) | Kind::Text(place, ..) => or_nothing(place(&mut settings).take()),
            Kind::Rules(place) => place(&mut settings).iter().map(Rule::to_string).collect::<Vec<_>>().into(),
            Kind::Switch(place) => (*place(&mut settings)).into(),
            Kind::Count(place, _) => (*place(&mut settings)).into(),
            Kind::Size(place, _) => (*place(&mut settings)).into(),
            Kind::Duration(place) => written(*place(&mut settings)).into(),
            Kind::Milliseconds(place, _) => place(&mut settings).as_millis().into(),
            Kind::Waits(place) => place(&mut settings).iter().map(|wait| written(*wait)).collect::<Vec<_>>().into(),
            Kind::Networks(place) => match place(&mut settings) {
                Some(networks) => networks.iter().map(Network::to_string).collect::<Vec<_>>().into(),
                None => or_nothing(None),
            },
            Kind::Choice(place) => place(&mut settings).word().into(),
        }
    }

    /// Whether its values are secrets, which the environment alone gives.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Kind::MasterKey(_) | Kind::Headers(_) | Kind::Secret(..))
    }

    /// Whether its values are URLs, which may hold a password.
    pub(super) fn is_url(&self) -> bool {
        match self {
            Kind::Url(_) | Kind::BaseUrl(_) => true,
            Kind::Directory(_)
            | Kind::File(_)
            | Kind::Command(_)
            | Kind::MasterKey(_)
            | Kind::Headers(_)
            | Kind::Secret(..)
            | Kind::Text(..)
            | Kind::Rules(_)
            | Kind::Name(_)
            | Kind::Share(_)
            | Kind::Address(_)
            | Kind::Switch(_)
            | Kind::Count(..)
            | Kind::Size(..)
            | Kind::Duration(_)
            | Kind::Milliseconds(..)
            | Kind::Waits(_)
            | Kind::Filter(_)
            | Kind::Networks(_)
            | Kind::Choice(_) => false,
        }
    }
}

/// A text; an empty one says that there is none, so that the environment can take away what the file gives.
fn optional(value: &Value) -> Option<Option<&str>> {
    let text = value.as_str()?.trim();
    Some((!text.is_empty()).then_some(text))
}

/// A secret, or none.
fn secret(value: &Value, is_good: fn(&str) -> bool) -> Option<Option<SecretText>> {
    match optional(value)? {
        Some(text) => is_good(text).then(|| Some(SecretText::new(text))),
        None => Some(None),
    }
}

fn checked(value: &Value, is_good: fn(&str) -> bool) -> Option<String> {
    optional(value)?.filter(|text| is_good(text)).map(str::to_owned)
}

fn optionally_checked(value: &Value, is_good: fn(&str) -> bool) -> Option<Option<String>> {
    match optional(value)? {
        Some(_) => checked(value, is_good).map(Some),
        None => Some(None),
    }
}

/// In the environment everything is a text.
fn switch(value: &Value) -> Option<bool> {
    value.to_bool().or_else(|| value.as_str()?.trim().parse().ok())
}

fn number(value: &Value, range: &RangeInclusive<u64>) -> Option<u64> {
    match value.to_num() {
        Some(number) => number.to_u128_lossy().and_then(|number| u64::try_from(number).ok()),
        None => whole_number(value.as_str()?.trim(), range),
    }
    .filter(|number| range.contains(number))
}

fn bounded_duration(value: &Value) -> Option<Duration> {
    duration(value.as_str()?.trim()).filter(|duration| SETTABLE_DURATION.contains(duration))
}

/// A list, or a text with commas between its parts.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value.as_array() {
        Some(values) => values.iter().map(Value::as_str).collect(),
        None => Some(optional(value)?.map_or_else(Vec::new, |text| text.split(',').collect())),
    }
}

/// Networks; an empty text is none given, an empty list allows none.
fn networks(value: &Value) -> Option<Option<Vec<Network>>> {
    if value.as_array().is_none() && optional(value)?.is_none() {
        return Some(None);
    }
    let networks = texts(value)?.into_iter().map(|text| text.trim().parse().ok()).collect::<Option<Vec<_>>>()?;
    (networks.len() <= SETTABLE_NETWORKS).then_some(Some(networks))
}

fn rules(value: &Value) -> Option<Vec<Rule>> {
    let rules = texts(value)?.into_iter().map(|text| text.trim().parse().ok()).collect::<Option<Vec<_>>>()?;
    (rules.len() <= SETTABLE_RULES).then_some(rules)
}

/// A program and its arguments. It is run without a shell, so nothing in them means anything else.
fn command(value: &Value) -> Option<Option<Vec<String>>> {
    let words: Vec<String> = match value.as_array() {
        Some(values) => values.iter().map(|word| Some(word.as_str()?.to_owned())).collect::<Option<_>>()?,
        None => value.as_str()?.split_whitespace().map(str::to_owned).collect(),
    };
    let is_good = words.first().is_none_or(|program| !program.is_empty()) && words.len() <= MASTER_KEY_COMMAND_WORDS;
    is_good.then_some((!words.is_empty()).then_some(words))
}

fn waits(value: &Value) -> Option<Vec<Duration>> {
    let texts = texts(value)?;
    let wait = |text: &str| duration(text.trim()).filter(|wait| wait <= SETTABLE_DURATION.end());
    let waits = texts.into_iter().map(wait).collect::<Option<Vec<_>>>()?;
    (waits.len() <= SETTABLE_RETRY_WAITS).then_some(waits)
}

fn share(value: &Value) -> Option<f64> {
    // The file may have 1 for 1.0.
    let whole = |number: Num| number.to_u128_lossy().and_then(|number| u8::try_from(number).ok()).map(f64::from);
    let number = value.to_num().and_then(|number| number.to_f64().or_else(|| whole(number)));
    number.or_else(|| value.as_str()?.trim().parse().ok()).filter(|share| (0.0..=1.0).contains(share))
}

fn is_name(text: &str) -> bool {
    text.len() <= SETTABLE_NAME_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn or_nothing(text: Option<String>) -> Value {
    text.map_or_else(|| Empty::None.into(), Value::from)
}
