//! Times as others read and write them: RFC 3339, in UTC.

use jiff::fmt::temporal::DateTimeParser;

use crate::domain::Timestamp;

/// `at` to the microsecond, as in `2026-11-25T03:41:00.123456Z`.
pub fn format_rfc3339(at: Timestamp) -> String {
    // By seconds, because jiff takes the last of them for too late when it is counted in microseconds.
    let (second, micros) = (at.0.div_euclid(1_000_000), at.0.rem_euclid(1_000_000));
    match jiff::Timestamp::new(second, micros as i32 * 1_000) {
        Ok(at) => format!("{at:.6}"),
        // Beyond the year 9999: no clock says so, but a damaged record may.
        Err(_) => format!("{} µs", at.0),
    }
}

/// A moment that a person writes: RFC 3339 with its zone, or a day, which begins at midnight UTC.
///
/// The last hours of the year 9999 stand for "always", and no calendar here goes so far: they are its last moment.
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
