//! Finds which of Meta's numbers belongs to which account. Pure.
//!
//! The kept id of a number decides. A number without one belongs to the account with the same number, in any form: Meta shows some
//! numbers otherwise than they are dialled. If that fits two accounts or two numbers, the match is refused.

use std::collections::HashMap;

use super::graph_response::PhoneNumber;
use super::meta_codes::NumberStatus;
use crate::domain::AccountNumber;

/// Why no number can be chosen for an account.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NumberConflict {
    /// Two accounts are forms of one number.
    #[error(
        "the accounts {first} and {second} are the same number in two forms, so it is unclear which of them Meta's number \
         belongs to; use one of them, and route the other one to another gateway"
    )]
    TwoAccounts {
        /// The smaller account number.
        first: AccountNumber,
        /// The other account number.
        second: AccountNumber,
    },
    /// Meta lists two numbers that are forms of one number.
    #[error(
        "the WhatsApp Business account has this number twice, as {} (id {}) and as {} (id {}); remove one of them at Meta",
        .0[0].0, .0[0].1, .0[1].0, .0[1].1
    )]
    TwoNumbers([(AccountNumber, String); 2]),
}

/// The number of an account, or why none can be chosen.
pub(super) type MatchedNumber = Result<PhoneNumber, NumberConflict>;

/// Meta's numbers by account.
#[derive(Default, PartialEq, Debug)]
pub(super) struct MatchedNumbers {
    /// The numbers of accounts. An account without an entry has no number at Meta.
    pub(super) by_account: HashMap<AccountNumber, MatchedNumber>,
    /// The numbers that belong to no account.
    pub(super) unknown: Vec<PhoneNumber>,
}

/// The accounts and the numbers that share a canonical form.
#[derive(Default)]
struct FormGroup {
    /// The accounts whose kept id is that of a number.
    identified: Vec<AccountNumber>,
    /// The other accounts.
    accounts: Vec<AccountNumber>,
    /// The numbers whose id was not kept for an account.
    numbers: Vec<PhoneNumber>,
}

/// Matches `numbers` with `accounts`. `owner` returns the account for which an id was kept.
pub(super) fn match_numbers(
    numbers: impl IntoIterator<Item = PhoneNumber>,
    accounts: &[AccountNumber],
    owner: impl Fn(&str) -> Option<AccountNumber>,
) -> MatchedNumbers {
    let (mut matched, mut groups) = (MatchedNumbers::default(), HashMap::<AccountNumber, FormGroup>::new());
    for account in accounts {
        groups.entry(account.canonical_form()).or_default().accounts.push(*account);
    }
    for number in numbers {
        // A number that was deleted or moved may be in the list again, with another id.
        let owner = owner(&number.id).filter(|_| !is_gone(&number));
        let owners = owner.and_then(|owner| Some((owner, groups.get_mut(&owner.canonical_form())?)));
        if let Some((owner, group)) = owners
            && let Some(at) = group.accounts.iter().position(|account| *account == owner)
        {
            group.identified.push(group.accounts.swap_remove(at));
            matched.by_account.insert(owner, Ok(number));
            continue;
        }
        match number.shown.and_then(|shown| groups.get_mut(&shown.canonical_form())) {
            Some(group) => group.numbers.push(number),
            None => matched.unknown.push(number),
        }
    }
    for group in groups.into_values() {
        matched.by_account.extend(group.resolve());
    }
    matched
}

impl FormGroup {
    /// The numbers of the accounts that no kept id decides.
    fn resolve(self) -> Vec<(AccountNumber, MatchedNumber)> {
        let FormGroup { identified, mut accounts, mut numbers } = self;
        if numbers.iter().any(|number| !is_gone(number)) {
            numbers.retain(|number| !is_gone(number));
        }
        accounts.sort_unstable();
        match (&accounts[..], &identified[..], &numbers[..]) {
            ([], _, _) | (_, [], []) => vec![],
            // The number is kept for the account in the other form.
            (others, [owner, ..], []) => {
                others.iter().map(|other| (*other, Err(NumberConflict::two_accounts(*owner, *other)))).collect()
            }
            ([first, second, ..], _, _) => {
                let conflict = NumberConflict::two_accounts(*first, *second);
                accounts.into_iter().map(|account| (account, Err(conflict.clone()))).collect()
            }
            ([account], _, [number]) => vec![(*account, Ok(number.clone()))],
            // All of them were deleted or moved, so it does not matter which one counts.
            ([account], _, [first, ..]) if is_gone(first) => vec![(*account, Ok(first.clone()))],
            ([account], _, [first, second, ..]) => {
                let named = |number: &PhoneNumber| (number.shown.unwrap_or(*account), number.id.clone());
                vec![(*account, Err(NumberConflict::TwoNumbers([named(first), named(second)])))]
            }
        }
    }
}

impl NumberConflict {
    fn two_accounts(one: AccountNumber, other: AccountNumber) -> NumberConflict {
        NumberConflict::TwoAccounts { first: one.min(other), second: one.max(other) }
    }
}

fn is_gone(number: &PhoneNumber) -> bool {
    number.status_meaning().status == NumberStatus::Gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::cloud_api::meta_codes::VerificationStatus;

    const SHORT: &str = "551187654321";
    const LONG: &str = "5511987654321";

    fn listed(id: &str, shown: &str, status: &str) -> PhoneNumber {
        let (id, shown, status) = (id.to_owned(), shown.parse().ok(), status.to_owned());
        PhoneNumber { id, shown, status, verification: VerificationStatus::Verified }
    }

    /// The matches of these accounts, with the account that keeps id 1.
    fn matched(accounts: &[&str], owner: Option<&str>, numbers: &[PhoneNumber]) -> Vec<String> {
        let accounts: Vec<AccountNumber> = accounts.iter().map(|account| account.parse().unwrap()).collect();
        let owner = owner.map(|owner| owner.parse().unwrap());
        let matched = match_numbers(numbers.to_vec(), &accounts, |id| owner.filter(|_| id == "1"));
        let words = |(account, found): (&AccountNumber, &MatchedNumber)| match found {
            Ok(number) => format!("{account}: {}", number.id),
            Err(conflict) => format!("{account}: {conflict}"),
        };
        let mut all: Vec<String> = matched.by_account.iter().map(words).collect();
        all.sort_unstable();
        all.extend(matched.unknown.iter().map(|number| format!("unknown: {}", number.id)));
        all
    }

    #[test]
    fn a_number_is_found_in_any_form_or_by_its_id() {
        let number = [listed("1", SHORT, "CONNECTED")];
        assert_eq!(matched(&[LONG], None, &number), [format!("{LONG}: 1")]);
        assert_eq!(matched(&[SHORT], None, &number), [format!("{SHORT}: 1")]);
        assert_eq!(matched(&["15550783881"], None, &number), ["unknown: 1"]);
        // Whatever Meta shows, the kept id decides.
        assert_eq!(matched(&["15550783881"], Some("15550783881"), &number), ["15550783881: 1"]);
        // The account moved to another gateway.
        assert_eq!(matched(&[], Some("15550783881"), &number), ["unknown: 1"]);
        let unreadable = PhoneNumber { shown: None, ..listed("1", "", "CONNECTED") };
        assert_eq!(matched(&[LONG], None, std::slice::from_ref(&unreadable)), ["unknown: 1"]);
        assert_eq!(matched(&[LONG], Some(LONG), &[unreadable]), [format!("{LONG}: 1")]);
    }

    #[test]
    fn a_match_of_two_is_refused_and_names_both() {
        let one = [listed("1", SHORT, "CONNECTED")];
        let both = format!("the accounts {SHORT} and {LONG} are the same number in two forms");
        let refused = matched(&[LONG, SHORT], None, &one);
        assert!(refused.len() == 2 && refused.iter().all(|words| words.contains(&both)), "{refused:?}");
        let kept = matched(&[LONG, SHORT], Some(LONG), &one);
        assert!(kept[1] == format!("{LONG}: 1") && kept[0].contains(&both), "{kept:?}");
        assert_eq!(matched(&[LONG, SHORT], None, &[]), [""; 0], "each may add the number");

        let two = [listed("1", SHORT, "CONNECTED"), listed("2", LONG, "PENDING")];
        let refused = matched(&[LONG], None, &two);
        assert!(refused[0].contains(&format!("as {SHORT} (id 1) and as {LONG} (id 2)")), "{refused:?}");
        assert_eq!(matched(&[LONG], Some(LONG), &two), [format!("{LONG}: 1")]);
        assert_eq!(matched(&[LONG, SHORT], Some(LONG), &two), [format!("{SHORT}: 2"), format!("{LONG}: 1")]);
    }

    #[test]
    fn a_deleted_number_does_not_hide_its_successor() {
        let moved = [listed("1", SHORT, "MIGRATED"), listed("2", SHORT, "CONNECTED")];
        assert_eq!(matched(&[LONG], Some(LONG), &moved), [format!("{LONG}: 2")]);
        let gone = [listed("1", SHORT, "MIGRATED"), listed("2", SHORT, "DELETED")];
        assert_eq!(matched(&[LONG], None, &gone), [format!("{LONG}: 1")]);
    }
}
