//! The labels of an account: names with values, by which operators sort and filter accounts.
//!
//! Labels are not content: a change of labels never conflicts with the imported content.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use super::single_line_text::is_invisible_control;
use crate::limits::{ACCOUNT_LABELS, LABEL_BYTES};

/// The labels of an account, sorted by name. Cheap to clone. A set without labels takes no memory of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Labels(Option<Arc<BTreeMap<Box<str>, Box<str>>>>);

/// Why a set of labels is invalid. The words continue a sentence after the name of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabels {
    /// There are too many labels.
    #[error("has more than {ACCOUNT_LABELS} labels; leave some out")]
    TooMany,
    /// A name is empty.
    #[error("has a label without a name; give it a name, or leave it out")]
    EmptyName,
    /// A name or a value is too long.
    #[error("has a name or a value with {0} bytes; the limit is {LABEL_BYTES}")]
    TooLong(usize),
    /// A name or a value has a control character.
    #[error("has a name or a value with a control character; leave that character out")]
    ControlCharacter,
    /// A name has a colon.
    #[error("has the name {0:?}; choose a name without a colon, because filters are written name:value")]
    ColonInName(String),
    /// A name is given twice.
    #[error("has the name {0:?} twice; give each name once")]
    NameTwice(String),
}

/// A filter for accounts by one label, written `team:sales`, or `team` for any value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabelFilter {
    name: Box<str>,
    /// `None` matches any value.
    value: Option<Box<str>>,
}

/// The text is not a filter by a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the name of a label, or name:value, such as team:sales; each part has at most {LABEL_BYTES} bytes")]
pub struct MalformedLabelFilter;

impl Labels {
    /// No labels.
    pub const NONE: Labels = Labels(None);

    /// Labels from names and values.
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Labels, InvalidLabels>
    where
        N: Into<Box<str>>,
        V: Into<Box<str>>,
    {
        let mut labels = BTreeMap::new();
        for (name, value) in pairs {
            let (name, value): (Box<str>, Box<str>) = (name.into(), value.into());
            check_part(&name)?;
            check_part(&value)?;
            if name.is_empty() {
                return Err(InvalidLabels::EmptyName);
            }
            if name.contains(':') {
                return Err(InvalidLabels::ColonInName(name.into()));
            }
            if labels.contains_key(&name) {
                return Err(InvalidLabels::NameTwice(name.into()));
            }
            if labels.len() == ACCOUNT_LABELS {
                return Err(InvalidLabels::TooMany);
            }
            labels.insert(name, value);
        }
        Ok(Labels((!labels.is_empty()).then(|| Arc::new(labels))))
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|labels| labels.iter()).map(|(name, value)| (&**name, &**value))
    }

    /// The value of the label with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.get(name).map(|value| &**value)
    }
}

impl LabelFilter {
    /// Whether an account with these labels matches.
    pub fn matches(&self, labels: &Labels) -> bool {
        let found = labels.get(&self.name);
        found.is_some_and(|found| self.value.as_deref().is_none_or(|wanted| wanted == found))
    }
}

impl FromStr for LabelFilter {
    type Err = MalformedLabelFilter;

    /// Splits at the first colon: names have none, values may.
    fn from_str(text: &str) -> Result<LabelFilter, MalformedLabelFilter> {
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value)));
        let is_part = |part: &str| part.len() <= LABEL_BYTES;
        if name.is_empty() || !is_part(name) || !value.is_none_or(is_part) {
            return Err(MalformedLabelFilter);
        }
        Ok(LabelFilter { name: name.into(), value: value.map(Box::from) })
    }
}

/// Checks a name or a value.
fn check_part(part: &str) -> Result<(), InvalidLabels> {
    if part.len() > LABEL_BYTES {
        Err(InvalidLabels::TooLong(part.len()))
    } else if part.contains(is_invisible_control) {
        Err(InvalidLabels::ControlCharacter)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(count: usize) -> Result<Labels, InvalidLabels> {
        Labels::new((0..count).map(|number| (format!("name{number}"), "")))
    }

    #[test]
    fn limits_are_inclusive() {
        assert_eq!(labels(ACCOUNT_LABELS).unwrap().iter().count(), 16);
        assert_eq!(labels(ACCOUNT_LABELS + 1), Err(InvalidLabels::TooMany));
        let (longest, longer) = ("é".repeat(32), format!("{}x", "é".repeat(32)));
        assert_eq!((longest.len(), longer.len()), (64, 65));
        assert!(Labels::new([(&*longest, &*longest)]).is_ok());
        assert_eq!(Labels::new([(&*longer, "")]), Err(InvalidLabels::TooLong(65)));
        assert_eq!(Labels::new([("team", &*longer)]), Err(InvalidLabels::TooLong(65)));
    }

    #[test]
    fn names_and_values_can_be_filtered_and_printed() {
        let rejected = |name: &str, value: &str| Labels::new([(name, value)]).unwrap_err().to_string();
        assert_eq!(rejected("", "care"), "has a label without a name; give it a name, or leave it out");
        let colon = r#"has the name "a:b"; choose a name without a colon, because filters are written name:value"#;
        assert_eq!(rejected("a:b", ""), colon);
        for part in ["two\nlines", "\u{1b}[2J", "\u{202e}turned", "\0"] {
            assert_eq!(Labels::new([(part, "")]), Err(InvalidLabels::ControlCharacter), "{part:?}");
            assert_eq!(Labels::new([("team", part)]), Err(InvalidLabels::ControlCharacter), "{part:?}");
        }
        let twice = Labels::new([("team", "a"), ("team", "a")]).unwrap_err().to_string();
        assert_eq!(twice, r#"has the name "team" twice; give each name once"#);
    }

    #[test]
    fn order_does_not_matter() {
        let [one, two] = [[("b", "2"), ("a", "1")], [("a", "1"), ("b", "2")]].map(|pairs| Labels::new(pairs).unwrap());
        assert_eq!(one, two);
        assert_eq!(one.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(Labels::new::<&str, &str>([]).unwrap(), Labels::NONE);
    }

    #[test]
    fn filters_split_at_the_first_colon() {
        let labels = Labels::new([("team", "sales"), ("url", "https://a"), ("empty", "")]).unwrap();
        for (filter, is_match) in [
            ("team", true),
            ("team:sales", true),
            ("team:", false),
            ("team:care", false),
            ("Team", false),
            ("url:https://a", true),
            ("empty", true),
            ("empty:", true),
            ("tier", false),
        ] {
            assert_eq!(filter.parse::<LabelFilter>().unwrap().matches(&labels), is_match, "{filter}");
        }
        for malformed in ["", ":", ":sales", &"x".repeat(65)] {
            assert_eq!(malformed.parse::<LabelFilter>(), Err(MalformedLabelFilter), "{malformed}");
        }
    }
}
