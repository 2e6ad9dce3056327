//! Calling codes, and the countries of each.

use std::fmt;
use std::str::FromStr;

use crate::limits::CALLING_CODE_DIGITS_MAX;

/// A country's calling code (the contract's `areaCode`): 1 to 4 digits, as in `86`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallingCode(u16);

/// The text is not an optional plus and 1 to 4 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a plus and 1 to {CALLING_CODE_DIGITS_MAX} digits, not starting with 0, such as +86")]
pub struct MalformedCallingCode;

impl CallingCode {
    /// The code as an integer.
    pub fn get(self) -> u16 {
        self.0
    }

    /// A code from a stored integer.
    pub fn from_stored(value: u16) -> Option<CallingCode> {
        (1..=9_999).contains(&value).then_some(CallingCode(value))
    }

    /// Whether `country` (ISO 3166-1 alpha-2, any case) is one of the countries of this code.
    pub fn serves(self, country: &str) -> bool {
        self.countries().split_ascii_whitespace().any(|served| served.eq_ignore_ascii_case(country))
    }

    /// The countries of this code, alpha-2, separated by spaces; empty for a code without a country.
    pub fn countries(self) -> &'static str {
        let of = |code: u16| {
            let at = COUNTRIES.binary_search_by_key(&code, |(code, _)| *code).ok()?;
            COUNTRIES.get(at).map(|(_, countries)| *countries)
        };
        // For islands of the North American plan, callers add the area code, as in +1242 for the Bahamas. Any other
        // area code belongs to the mainland.
        let mainland = (1_000..2_000).contains(&self.0).then_some("CA US");
        of(self.0).or(mainland).unwrap_or_default()
    }
}

impl FromStr for CallingCode {
    type Err = MalformedCallingCode;

    fn from_str(text: &str) -> Result<CallingCode, MalformedCallingCode> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let well_formed = (1..=CALLING_CODE_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if !well_formed {
            return Err(MalformedCallingCode);
        }
        digits.parse().map(CallingCode).map_err(|_| MalformedCallingCode)
    }
}

impl fmt::Display for CallingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Calling codes and their countries, ascending. Source: ITU-T E.164 assignments as in libphonenumber's metadata of
/// 2026, without the codes that serve no country.
#[rustfmt::skip]
static COUNTRIES: &[(u16, &str)] = &[
    (1, "AG AI AS BB BM BS CA DM DO GD GU JM KN KY LC MP MS PR SX TC TT US VC VG VI"), (7, "KZ RU"), (20, "EG"),
    (27, "ZA"), (30, "GR"), (31, "NL"), (32, "BE"), (33, "FR"), (34, "ES"), (36, "HU"), (39, "IT VA"), (40, "RO"),
    (41, "CH"), (43, "AT"), (44, "GB GG IM JE"), (45, "DK"), (46, "SE"), (47, "NO SJ"), (48, "PL"), (49, "DE"),
    (51, "PE"), (52, "MX"), (53, "CU"), (54, "AR"), (55, "BR"), (56, "CL"), (57, "CO"), (58, "VE"), (60, "MY"),
    (61, "AU CC CX"), (62, "ID"), (63, "PH"), (64, "NZ"), (65, "SG"), (66, "TH"), (81, "JP"), (82, "KR"), (84, "VN"),
    (86, "CN"), (90, "TR"), (91, "IN"), (92, "PK"), (93, "AF"), (94, "LK"), (95, "MM"), (98, "IR"), (211, "SS"),
    (212, "EH MA"), (213, "DZ"), (216, "TN"), (218, "LY"), (220, "GM"), (221, "SN"), (222, "MR"), (223, "ML"),
    (224, "GN"), (225, "CI"), (226, "BF"), (227, "NE"), (228, "TG"), (229, "BJ"), (230, "MU"), (231, "LR"),
    (232, "SL"), (233, "GH"), (234, "NG"), (235, "TD"), (236, "CF"), (237, "CM"), (238, "CV"), (239, "ST"),
    (240, "GQ"), (241, "GA"), (242, "CG"), (243, "CD"), (244, "AO"), (245, "GW"), (246, "IO"), (248, "SC"),
    (249, "SD"), (250, "RW"), (251, "ET"), (252, "SO"), (253, "DJ"), (254, "KE"), (255, "TZ"), (256, "UG"),
    (257, "BI"), (258, "MZ"), (260, "ZM"), (261, "MG"), (262, "RE YT"), (263, "ZW"), (264, "NA"), (265, "MW"),
    (266, "LS"), (267, "BW"), (268, "SZ"), (269, "KM"), (290, "SH"), (291, "ER"), (297, "AW"), (298, "FO"),
    (299, "GL"), (350, "GI"), (351, "PT"), (352, "LU"), (353, "IE"), (354, "IS"), (355, "AL"), (356, "MT"),
    (357, "CY"), (358, "AX FI"), (359, "BG"), (370, "LT"), (371, "LV"), (372, "EE"), (373, "MD"), (374, "AM"),
    (375, "BY"), (376, "AD"), (377, "MC"), (378, "SM"), (380, "UA"), (381, "RS"), (382, "ME"), (383, "XK"),
    (385, "HR"), (386, "SI"), (387, "BA"), (389, "MK"), (420, "CZ"), (421, "SK"), (423, "LI"), (500, "FK"),
    (501, "BZ"), (502, "GT"), (503, "SV"), (504, "HN"), (505, "NI"), (506, "CR"), (507, "PA"), (508, "PM"),
    (509, "HT"), (590, "BL GP MF"), (591, "BO"), (592, "GY"), (593, "EC"), (594, "GF"), (595, "PY"), (596, "MQ"),
    (597, "SR"), (598, "UY"), (599, "BQ CW"), (670, "TL"), (672, "NF"), (673, "BN"), (674, "NR"), (675, "PG"),
    (676, "TO"), (677, "SB"), (678, "VU"), (679, "FJ"), (680, "PW"), (681, "WF"), (682, "CK"), (683, "NU"),
    (685, "WS"), (686, "KI"), (687, "NC"), (688, "TV"), (689, "PF"), (690, "TK"), (691, "FM"), (692, "MH"),
    (850, "KP"), (852, "HK"), (853, "MO"), (855, "KH"), (856, "LA"), (880, "BD"), (886, "TW"), (960, "MV"),
    (961, "LB"), (962, "JO"), (963, "SY"), (964, "IQ"), (965, "KW"), (966, "SA"), (967, "YE"), (968, "OM"),
    (970, "PS"), (971, "AE"), (972, "IL"), (973, "BH"), (974, "QA"), (975, "BT"), (976, "MN"), (977, "NP"),
    (992, "TJ"), (993, "TM"), (994, "AZ"), (995, "GE"), (996, "KG"), (998, "UZ"),
    (1242, "BS"), (1246, "BB"), (1264, "AI"), (1268, "AG"), (1284, "VG"), (1340, "VI"), (1345, "KY"), (1441, "BM"),
    (1473, "GD"), (1649, "TC"), (1658, "JM"), (1664, "MS"), (1670, "MP"), (1671, "GU"), (1684, "AS"), (1721, "SX"),
    (1758, "LC"), (1767, "DM"), (1784, "VC"), (1787, "PR"), (1809, "DO"), (1829, "DO"), (1849, "DO"), (1868, "TT"),
    (1869, "KN"), (1876, "JM"), (1939, "PR"),
];
