//! Formatting and parsing of times: RFC 3339, in UTC.

use jiff::fmt::temporal::DateTimeParser;

use crate::domain::Timestamp;

/// What [`parse_rfc3339`] accepts.
pub const TIME_FORM: &str = "a time such as 2026-11-25T09:30:00Z, or a day such as 2026-11-25";

// Frozen: six digits and `Z`. Bundles and exports hold such times, and bundles are compared byte by byte.
/// `at` with microseconds, for example `2026-11-25T03:41:00.123456Z`.
pub fn format_rfc3339(at: Timestamp) -> String {
    // From seconds: jiff rejects the last second of its range when it is given in microseconds.
    let (second, micros) = (at.0.div_euclid(1_000_000), at.0.rem_euclid(1_000_000));
    match jiff::Timestamp::new(second, micros as i32 * 1_000) {
        Ok(at) => format!("{at:.6}"),
        // Beyond the year 9999. No clock shows such a time, but a damaged record may.
        Err(_) => format!("{} µs", at.0),
    }
}

/// Parses a time: RFC 3339 with its zone, or a date, which means midnight UTC.
///
/// Times at the end of 9999 mean "always" and lie beyond the range of jiff: they become the last time in that range.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let moment = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let day = || moment(&format!("{text}T00:00:00Z"));
    let last = || {
        let pieces = DateTimeParser::new().parse_pieces(text).ok()?;
        let is_last = pieces.date().year() == 9999 && pieces.time().is_some() && pieces.offset().is_some();
        is_last.then_some(jiff::Timestamp::MAX)
    };
    moment(text).or_else(day).or_else(last).map(|at| Timestamp(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for at in [0, 1, 999_999, 1_666_942_813_620_000, -1, 253_402_207_200_600_000, -377_705_023_200_400_000] {
            assert_eq!(parse_rfc3339(&format_rfc3339(Timestamp(at))), Some(Timestamp(at)));
        }
        assert_eq!(format_rfc3339(Timestamp(1_666_942_813_620_000)), "2022-10-28T07:40:13.620000Z");
        assert_eq!(parse_rfc3339("2022-10-28"), parse_rfc3339("2022-10-28T00:00:00Z"));
        assert_eq!(parse_rfc3339("2022-10-28T09:40:13.62+02:00"), Some(Timestamp(1_666_942_813_620_000)));
        assert_eq!(parse_rfc3339("9999-12-31T23:59:59Z"), Some(Timestamp(253_402_207_200_999_999)));
        assert_eq!(parse_rfc3339("9999-12-31T23:59:59.9-05:00"), parse_rfc3339("9999-12-31T23:59:59Z"));
        for nonsense in [
            "9999-12-31T23:59:59",
            "9999-12-32T00:00:00Z",
            "",
            "yesterday",
            "2022-13-01",
            "2022-10-28T07:40:13",
            "1666942813",
        ] {
            assert_eq!(parse_rfc3339(nonsense), None, "{nonsense:?}");
        }
    }
}
