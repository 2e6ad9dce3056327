//! The numbering plans of countries: which phone a caller of submitPhone probably meant. Pure.
//!
//! Callers put the calling code or the trunk 0 before a phone that must not have it. Only the plan tells whether it belongs there:
//! numbers of Italy begin with 0, and Brazil has the area code 55. The plans are the general patterns of Google's libphonenumber, in
//! the crate `phonenumber`. Its own checks accept a number with further digits behind it, so the patterns are matched here.

use std::fmt;
use std::sync::OnceLock;

use phonenumber::metadata::{DATABASE, Metadata};
use regex::{Regex, RegexBuilder};

use crate::domain::CallingCode;

/// The pattern of each calling code that was needed so far. `None` if the library has no plan for it.
static PLANS: [OnceLock<Option<Regex>>; 1_000] = [const { OnceLock::new() }; 1_000];

/// The phone that a caller probably meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProbablePhone {
    /// The phone, without the digits that do not belong there.
    phone: String,
    calling_code: CallingCode,
    repeats_calling_code: bool,
    has_trunk_zero: bool,
}

impl fmt::Display for ProbablePhone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProbablePhone { phone, calling_code, .. } = self;
        let wrong = match (self.repeats_calling_code, self.has_trunk_zero) {
            (true, true) => "repeats the calling code and has a trunk 0",
            (true, false) => "repeats the calling code",
            (false, _) => "has a trunk 0",
        };
        write!(f, "{wrong}, so it is no possible number of +{calling_code}; you probably mean {phone}")
    }
}

/// The phone that a caller probably meant, if `phone` is impossible in the plan of its calling code, and possible without a
/// repeated calling code or a trunk 0. `phone` must be digits. The first call for such a phone loads the library's metadata:
/// 4 MiB that stay in memory. Each plan is compiled when it is first needed.
pub(super) fn probable_phone(calling_code: CallingCode, phone: &str) -> Option<ProbablePhone> {
    let code = calling_code.to_string();
    let candidate = |phone: &str, repeats_calling_code, has_trunk_zero| ProbablePhone {
        phone: phone.to_owned(),
        calling_code,
        repeats_calling_code,
        has_trunk_zero,
    };
    let without_code = phone.strip_prefix(&code);
    let without_both = without_code.and_then(|phone| phone.strip_prefix('0'));
    let candidates = [
        without_code.map(|phone| candidate(phone, true, false)),
        without_both.map(|phone| candidate(phone, true, true)),
        phone.strip_prefix('0').map(|phone| candidate(phone, false, true)),
    ];
    // Most phones are not suspicious, and need no plan.
    if candidates.iter().all(Option::is_none) || is_possible(calling_code, phone)? {
        return None;
    }
    candidates.into_iter().flatten().find(|it| is_possible(calling_code, &it.phone) == Some(true))
}

/// Whether the plan has numbers of this form. `None` if there is no plan for the calling code.
fn is_possible(calling_code: CallingCode, phone: &str) -> Option<bool> {
    // Codes such as +1242 are the code 1 and an area.
    let code = calling_code.get();
    let (country, area) =
        if code >= 1_000 { (code / 1_000, format!("{:03}", code % 1_000)) } else { (code, String::new()) };
    let plan = PLANS.get(usize::from(country))?.get_or_init(|| load_plan(country));
    Some(plan.as_ref()?.is_match(&format!("{area}{phone}")))
}

/// The pattern of a calling code. Its main country has the numbers of all countries that share the code.
fn load_plan(country: u16) -> Option<Regex> {
    let main: &Metadata = DATABASE.by_code(&country)?.into_iter().next()?;
    let pattern = main.descriptors().general().national_number().as_str();
    RegexBuilder::new(&format!("^(?:{pattern})$")).ignore_whitespace(true).unicode(false).build().ok()
}

/// Loads all plans, for measurements of the memory that one request needs.
#[cfg(any(test, fuzzing))]
pub(super) fn load_all_plans() {
    for (country, plan) in PLANS.iter().enumerate() {
        plan.get_or_init(|| load_plan(country as u16));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What submitPhone says about a phone; empty if it accepts the phone.
    fn verdict(code: &str, phone: &str) -> String {
        probable_phone(code.parse().unwrap(), phone).map(|probable| probable.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_phone_with_too_much_before_it_names_the_number_meant() {
        let (code, zero) = ("repeats the calling code, ", "has a trunk 0, ");
        let both = "repeats the calling code and has a trunk 0, ";
        for (calling_code, phone, wrong, meant) in [
            ("+86", "8613812345678", code, "13812345678"),
            ("+44", "447911123456", code, "7911123456"),
            ("+44", "07911123456", zero, "7911123456"),
            ("+44", "4407911123456", both, "7911123456"),
            ("+49", "015112345678", zero, "15112345678"),
            ("+55", "5511987654321", code, "11987654321"),
            ("+55", "011987654321", zero, "11987654321"),
            ("+52", "525512345678", code, "5512345678"),
            ("+1", "12015550123", code, "2015550123"),
            ("+1242", "12423591234", code, "3591234"),
            ("+7", "77012345678", code, "7012345678"),
        ] {
            let expected = format!("{wrong}so it is no possible number of {calling_code}; you probably mean {meant}");
            assert_eq!(verdict(calling_code, phone), expected, "{calling_code} {phone}");
        }
    }

    /// The plan has such numbers, or has neither this number nor the one without these digits.
    #[test]
    fn other_phones_are_accepted() {
        for (calling_code, phone) in [
            // The document's examples, which no plan knows, and other fictitious numbers.
            ("+86", "182172623211"),
            ("+86", "1821726232"),
            ("+86", "861"),
            ("+1", "5550783881"),
            ("+1", "15550"),
            // Countries whose numbers keep the 0.
            ("+39", "0612345678"),
            ("+39", "3471234567"),
            ("+378", "0549886377"),
            ("+225", "0123456789"),
            ("+242", "061234567"),
            // An area code or a mobile prefix that looks like the calling code.
            ("+55", "55996123456"),
            ("+39", "3931234567"),
            ("+7", "7012345678"),
            // Area codes of Germany begin with 049.
            ("+49", "4915112345678"),
            ("+1242", "3591234"),
            // No plan.
            ("+999", "0999123456"),
            ("+9999", "9999123456"),
        ] {
            assert_eq!(verdict(calling_code, phone), "", "{calling_code} {phone}");
        }
    }

    /// The pattern of the main country covers all countries of its calling code.
    #[test]
    fn every_example_of_the_library_is_possible() {
        let mut examples = 0;
        for metadata in DATABASE.iter() {
            let Some(code) = CallingCode::from_stored(metadata.country_code()) else { continue };
            let all = metadata.descriptors();
            for descriptor in [all.fixed_line(), all.mobile()].into_iter().flatten() {
                let Some(example) = descriptor.example() else { continue };
                assert_eq!(is_possible(code, example), Some(true), "{} {example}", metadata.id());
                examples += 1;
            }
        }
        assert!(examples > 450, "{examples} examples");
    }
}
