//! Account numbers and calling codes: the formats that the contract allows, and the errors for others.

use super::*;

/// Each case is a text and its result: the same text if it is an account number, otherwise the error.
#[test]
fn account_numbers() {
    let parsed = |text: &str| match text.parse::<AccountNumber>() {
        Ok(number) => number.to_string(),
        Err(malformed) => malformed.to_string(),
    };
    let (digits, zero) =
        ("must be digits only, calling code first, without a plus", "must start with the calling code, not with 0");
    let expected = [
        // The contract's own examples, which are fictitious.
        ("861821726232", "861821726232"),
        ("861821726231", "861821726231"),
        ("861821371272", "861821371272"),
        ("8218132718231", "8218132718231"),
        ("86182172623211", "86182172623211"),
        // The shortest and the longest.
        ("1234567", "1234567"),
        ("999999999999999", "999999999999999"),
        ("123456", "must have 7 to 15 digits, not 6"),
        ("1234567890123456", "must have 7 to 15 digits, not 16"),
        ("99999999999999999999999999", "must have 7 to 15 digits, not 26"),
        ("", "must have 7 to 15 digits, not 0"),
        ("0861821726232", zero),
        ("+861821726232", digits),
        ("86 1821726232", digits),
        (" 861821726232", digits),
        ("861821726232\n", digits),
        ("８６１８２１７２６２３２", digits),
    ];
    for (text, then) in expected {
        assert_eq!(parsed(text), then, "{text:?}");
    }
}

#[test]
fn a_stored_number_is_a_number() {
    for text in ["1234567", "861821726232", "999999999999999"] {
        let number: AccountNumber = text.parse().unwrap();
        assert_eq!(AccountNumber::from_stored(number.get()), Some(number));
        assert_eq!(number.last_four(), text[text.len() - 4..].parse::<u16>().unwrap());
    }
    for value in [0, 1, 999_999, 1_000_000_000_000_000, u64::MAX] {
        assert_eq!(AccountNumber::from_stored(value), None, "{value}");
    }
}

#[test]
fn debug_output_masks_a_number() {
    assert_eq!(format!("{:?}", "861821726232".parse::<AccountNumber>().unwrap()), "861******232");
    assert_eq!(format!("{:?}", "1234567".parse::<AccountNumber>().unwrap()), "****567");
}

#[test]
fn calling_codes() {
    for (text, code) in
        [("+86", Some(86)), ("86", Some(86)), ("+1", Some(1)), ("+1242", Some(1242)), ("9999", Some(9999))]
            .into_iter()
            .chain(
                ["", "+", "++86", "+0", "086", "+12345", "8 6", "86+", "-86", "٨٦"].map(|malformed| (malformed, None)),
            )
    {
        assert_eq!(text.parse::<CallingCode>().ok().map(CallingCode::get), code, "{text:?}");
        if let Some(code) = code {
            assert_eq!(CallingCode::from_stored(code).map(CallingCode::get), Some(code));
        }
    }
    assert_eq!([CallingCode::from_stored(0), CallingCode::from_stored(10_000)], [None, None]);
}

#[test]
fn calling_codes_serve_their_countries() {
    let serves = |code: &str, country: &str| code.parse::<CallingCode>().unwrap().serves(country);
    for (code, country) in [
        ("+86", "CN"),
        ("86", "cn"),
        ("+1", "US"),
        ("+1", "CA"),
        ("+1242", "BS"),
        ("+1415", "US"),
        ("+7", "KZ"),
        ("+44", "GG"),
    ] {
        assert!(serves(code, country), "{code} serves {country}");
    }
    for (code, country) in [
        ("+86", "US"),
        ("+86", ""),
        ("+86", "C"),
        ("+1", "AG AI"),
        ("+999", "CN"),
        ("+999", ""),
        ("+1242", "CN"),
        ("+1242", "US"),
        ("+1415", "BS"),
    ] {
        assert!(!serves(code, country), "{code} does not serve {country:?}");
    }
}

/// Each country has one code, and each code in the table can be found.
#[test]
fn the_table_of_calling_codes_is_sound() {
    let served = |code: u16| CallingCode::from_stored(code).unwrap().countries().split_whitespace();
    let mut countries: Vec<&str> = (1..1_000).flat_map(served).collect();
    assert!(
        countries.iter().all(|country| country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()))
    );
    let listed = countries.len();
    countries.sort_unstable();
    countries.dedup();
    assert_eq!(countries.len(), listed, "no country stands under two codes");
    assert!(listed > 240, "{listed} of about 250 countries have a calling code");
}
