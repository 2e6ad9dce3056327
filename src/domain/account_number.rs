//! Account numbers: calling code first, digits only, as in `861821726232`.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::limits::{ACCOUNT_DIGITS_MAX, ACCOUNT_DIGITS_MIN};

/// An account's number: 7 to 15 digits, not starting with 0. The integer is never zero, so an `Option` takes no extra
/// space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountNumber(NonZeroU64);

/// Why a text is not an account number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedAccountNumber {
    /// A character other than a digit.
    #[error("must be digits only, calling code first, without a plus")]
    NotDigits,
    /// Too short or too long.
    #[error("must have {ACCOUNT_DIGITS_MIN} to {ACCOUNT_DIGITS_MAX} digits, not {0}")]
    Length(usize),
    /// It starts with 0; no calling code does.
    #[error("must start with the calling code, not with 0")]
    LeadingZero,
}

impl AccountNumber {
    /// The number of the API document's examples.
    pub const EXAMPLE: AccountNumber = AccountNumber(NonZeroU64::MIN.saturating_add(861_821_726_231));

    /// The number as an integer.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// A number from a stored integer; `None` if no account number has that value.
    pub fn from_stored(value: u64) -> Option<AccountNumber> {
        NonZeroU64::new(value)
            .filter(|value| (ACCOUNT_DIGITS_MIN..=ACCOUNT_DIGITS_MAX).contains(&digits(value.get())))
            .map(AccountNumber)
    }

    /// How many digits it has.
    pub fn digits(self) -> usize {
        digits(self.get())
    }

    /// The last four digits, by which the simulator chooses an outcome.
    pub fn last_four(self) -> u16 {
        (self.get() % 10_000) as u16
    }
}

fn digits(value: u64) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

impl FromStr for AccountNumber {
    type Err = MalformedAccountNumber;

    fn from_str(text: &str) -> Result<AccountNumber, MalformedAccountNumber> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(MalformedAccountNumber::NotDigits);
        }
        if !(ACCOUNT_DIGITS_MIN..=ACCOUNT_DIGITS_MAX).contains(&text.len()) {
            return Err(MalformedAccountNumber::Length(text.len()));
        }
        if text.starts_with('0') {
            return Err(MalformedAccountNumber::LeadingZero);
        }
        let value = text.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        NonZeroU64::new(value).map(AccountNumber).ok_or(MalformedAccountNumber::LeadingZero)
    }
}

impl fmt::Display for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Masked, because debug output may end up in any log.
impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_digits(&self.0.to_string()))
    }
}

/// Masks a number, for readers who do not need all its digits: `861******232`. At least four digits are hidden.
pub fn mask_digits(digits: &str) -> String {
    let tail = digits.len().saturating_sub(3);
    let head = tail.saturating_sub(4).min(3);
    digits.chars().enumerate().map(|(at, digit)| if (head..tail).contains(&at) { '*' } else { digit }).collect()
}
