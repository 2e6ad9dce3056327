//! Numbers with two forms: which are the same number, and which are not.

use proptest::prelude::*;

use super::*;

fn number(text: &str) -> AccountNumber {
    text.parse().unwrap()
}

#[test]
fn forms_of_one_number() {
    for (short, long) in [
        ("551187654321", "5511987654321"),
        ("553160000000", "5531960000000"),
        ("541155551234", "5491155551234"),
        ("542215551234", "5492215551234"),
        ("525512345678", "5215512345678"),
    ] {
        let (short, long) = (number(short), number(long));
        assert_eq!((short.canonical_form(), long.canonical_form()), (short, short));
        assert_eq!((short.other_form(), long.other_form()), (Some(long), Some(short)));
        assert!(short.is_same_number(long));
    }
}

/// Landlines, other countries, and numbers that only look like one with another digit.
#[test]
fn numbers_with_one_form() {
    for text in [
        // A landline of São Paulo, and the mobile number with a 9 before the same eight digits: two lines.
        "551134567890",
        "5511934567890",
        "558001234567",
        // Area codes of Argentina do not begin with 9, those of Mexico not with 1.
        "549915555123",
        "5211115555123",
        "5411555512345",
        "521112345678",
        // The document's examples, and neighbours of the three codes.
        "861821726232",
        "8218132718231",
        "531187654321",
        "15550783881",
    ] {
        let number = number(text);
        assert_eq!((number.canonical_form(), number.other_form()), (number, None), "{text}");
    }
    assert!(!number("551134567890").is_same_number(number("5511934567890")));
}

/// Any number, and more often one that begins as the numbers with two forms do.
fn any_number() -> impl Strategy<Value = AccountNumber> {
    let prefix = prop::sample::select(vec!["", "55", "5511", "55119", "54", "549", "52", "521"]);
    (prefix, "[1-9][0-9]{6,14}").prop_map(|(prefix, digits)| {
        let digits = format!("{prefix}{digits}");
        number(&digits[..digits.len().min(15)])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn being_the_same_number_is_an_equivalence(number in any_number(), another in any_number()) {
        let canonical = number.canonical_form();
        prop_assert_eq!(canonical.canonical_form(), canonical);
        prop_assert!(number.is_same_number(number) && number.is_same_number(canonical));
        prop_assert_eq!(number.is_same_number(another), another.is_same_number(number));
        // A number has at most two forms, and each is the other one's other form.
        match number.other_form() {
            Some(other) => {
                prop_assert_eq!(other.other_form(), Some(number));
                prop_assert!(other.is_same_number(number) && canonical == number.min(other));
                prop_assert_eq!(number.is_same_number(another), another == number || another == other);
            }
            None => prop_assert_eq!(number.is_same_number(another), another == number),
        }
    }
}
