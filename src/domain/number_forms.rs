//! Numbers that have two forms: as they are dialled, and as others show them.
//!
//! Some countries added a digit to their mobile numbers, or removed one. WhatsApp shows many of these numbers in the form that
//! they had before. Both forms reach the same phone, so they are the same number. [`TWO_FORMS`] is the only list of such rules.

use super::AccountNumber;

/// The rule of one country: its numbers have a short form, and a long form with one more digit.
struct TwoForms {
    /// The calling code.
    calling_code: u64,
    /// How many digits are between the calling code and the digit that only the long form has.
    area_digits: u32,
    /// The digit that only the long form has.
    extra_digit: u64,
    /// How many digits follow it.
    subscriber_digits: u32,
    /// The digits that these may begin with. No other line has the short form of such a number.
    first_digits: std::ops::RangeInclusive<u64>,
}

/// The countries whose numbers have two forms, with the sources of each rule.
///
/// - Brazil, `55 11 8765-4321` and `55 11 98765-4321`. Anatel's Resolution 553/2010 put a 9 before all mobile numbers of eight
///   digits, from 2012 (São Paulo) to 2016. Those began with 6 to 9. A number of eight digits that begins with 2 to 5 is a
///   landline (Resolution 86/1998), so it is never the same as a mobile number. WhatsApp keeps the short form of many mobile
///   numbers: Meta's pages about phone numbers in the Cloud API say that it changes the prefix of numbers in Brazil and Mexico.
/// - Argentina, `54 11 5555-1234` and `54 9 11 5555-1234`. The 9 marks a mobile phone in calls from abroad; the ten digits after
///   it are unique without it (ITU-T E.164 national numbering plan of Argentina, 2012; Resolution SC 46/97). Area codes begin
///   with 1 to 3. WhatsApp's page about international phone numbers requires the 9.
/// - Mexico, `52 55 1234 5678` and `52 1 55 1234 5678`. The 1 marked a mobile phone until 3 August 2019 (IFT, Plan Técnico
///   Fundamental de Numeración, 2018). No number of ten digits begins with 0 or 1. WhatsApp keeps the 1 of numbers that had it.
const TWO_FORMS: [TwoForms; 3] = [
    TwoForms { calling_code: 55, area_digits: 2, extra_digit: 9, subscriber_digits: 8, first_digits: 6..=9 },
    TwoForms { calling_code: 54, area_digits: 0, extra_digit: 9, subscriber_digits: 10, first_digits: 1..=3 },
    TwoForms { calling_code: 52, area_digits: 0, extra_digit: 1, subscriber_digits: 10, first_digits: 2..=9 },
];

impl AccountNumber {
    /// The form that all forms of this number share: the short one, if it has two. Forms of one number, and only they, have the
    /// same canonical form.
    #[must_use]
    pub fn canonical_form(self) -> AccountNumber {
        TWO_FORMS.iter().find_map(|rule| rule.shorten(self)).unwrap_or(self)
    }

    /// The other form of this number; `None` if it has only one.
    pub fn other_form(self) -> Option<AccountNumber> {
        TWO_FORMS.iter().find_map(|rule| rule.shorten(self).or_else(|| rule.lengthen(self)))
    }

    /// Whether both are forms of the same number.
    pub fn is_same_number(self, other: AccountNumber) -> bool {
        self.canonical_form() == other.canonical_form()
    }
}

impl TwoForms {
    /// The short form of a number in the long form.
    fn shorten(&self, number: AccountNumber) -> Option<AccountNumber> {
        let (head, subscriber) = self.split(number)?;
        let has_extra_digit = head % 10 == self.extra_digit && self.is_area(head / 10);
        has_extra_digit.then(|| AccountNumber::from_stored(head / 10 * self.scale() + subscriber)).flatten()
    }

    /// The long form of a number in the short form.
    fn lengthen(&self, number: AccountNumber) -> Option<AccountNumber> {
        let (head, subscriber) = self.split(number)?;
        let long = || AccountNumber::from_stored((head * 10 + self.extra_digit) * self.scale() + subscriber);
        self.is_area(head).then(long).flatten()
    }

    /// The digits before the subscriber's, and the subscriber's. `None` if no number with two forms has these.
    fn split(&self, number: AccountNumber) -> Option<(u64, u64)> {
        let (head, subscriber) = (number.get() / self.scale(), number.get() % self.scale());
        self.first_digits.contains(&(subscriber / (self.scale() / 10))).then_some((head, subscriber))
    }

    /// Whether `head` is the calling code, followed by an area code if the rule has one.
    fn is_area(&self, head: u64) -> bool {
        head / 10_u64.pow(self.area_digits) == self.calling_code
    }

    fn scale(&self) -> u64 {
        10_u64.pow(self.subscriber_digits)
    }
}
