//! Generations of a log, and the ids of its events.
//!
//! A restore from a backup begins a new generation, because positions and versions behind the backup are given again. A
//! store that was never restored is in generation 0.
//!
//! Frozen: the forms of ids and of versions. Receivers, feeds and auditors keep and compare them.

use std::fmt;
use std::str::FromStr;

use crate::limits::{ACCOUNT_VERSION_BITS, GENERATIONS};

/// A generation of a log, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u32);

/// The id of an event, and the cursor that stands after it: its position, in its generation. Written as `48` in
/// generation 0, and as `1-48` in generation 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The generation that the event was recorded in.
    pub generation: Generation,
    /// Its position in the journal, from 1. 0 stands before the first event.
    pub position: u64,
}

/// The form of an [`EventId`].
pub const EVENT_ID_PATTERN: &str = "^([1-9][0-9]{0,5}-)?[0-9]{1,19}$";

/// The text is not the id of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the id of an event, such as 48 or 1-48")]
pub struct MalformedEventId;

impl Generation {
    /// The generation of a store that was never restored.
    pub const FIRST: Generation = Generation(0);

    /// The generation with this number; `None` beyond [`GENERATIONS`].
    pub fn new(number: u32) -> Option<Generation> {
        (number <= GENERATIONS).then_some(Generation(number))
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The generation after it; `None` beyond [`GENERATIONS`].
    pub fn next(self) -> Option<Generation> {
        Generation::new(self.0 + 1)
    }

    /// An account's version as receivers see it: one integer that never falls, also after a restore. It is the plain
    /// version in generation 0. The generation is above the lowest [`ACCOUNT_VERSION_BITS`] bits.
    pub fn qualify_version(self, version: u64) -> u64 {
        u64::from(self.0) << ACCOUNT_VERSION_BITS | version
    }
}

impl EventId {
    /// The version in an integer of [`Generation::qualify_version`], in the place of the position.
    pub fn from_qualified_version(version: u64) -> Option<EventId> {
        let generation = Generation::new(u32::try_from(version >> ACCOUNT_VERSION_BITS).ok()?)?;
        Some(EventId { generation, position: version & ((1 << ACCOUNT_VERSION_BITS) - 1) })
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.generation {
            Generation::FIRST => write!(f, "{}", self.position),
            generation => write!(f, "{generation}-{}", self.position),
        }
    }
}

impl FromStr for EventId {
    type Err = MalformedEventId;

    fn from_str(text: &str) -> Result<EventId, MalformedEventId> {
        fn number<T: FromStr>(text: &str) -> Result<T, MalformedEventId> {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| text.parse().ok()).flatten().ok_or(MalformedEventId)
        }
        let Some((generation, position)) = text.split_once('-') else {
            return Ok(EventId { generation: Generation::FIRST, position: number(text)? });
        };
        let generation = Generation::new(number(generation)?).ok_or(MalformedEventId)?;
        let id = EventId { generation, position: number(position)? };
        // One event has one id.
        if id.to_string() == text { Ok(id) } else { Err(MalformedEventId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for text in ["0", "48", "1-48", "999999-18446744073709551615"] {
            assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "-",
            "1-",
            "-1",
            "+1",
            "1-+2",
            "1-2-3",
            "0-3",
            "01-3",
            "1-03",
            "x",
            "1 ",
            "1000000-1",
            "18446744073709551616",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(MalformedEventId), "{text:?}");
        }
    }

    #[test]
    fn versions_rise_over_generations_and_fit_into_a_double() {
        let last = Generation::new(GENERATIONS).unwrap();
        assert_eq!(Generation::FIRST.qualify_version(7), 7);
        assert_eq!(Generation(1).qualify_version(3), 4_294_967_299);
        let version = EventId::from_qualified_version(4_294_967_299).unwrap();
        assert_eq!(version.to_string(), "1-3");
        assert_eq!(EventId::from_qualified_version(u64::MAX), None);
        assert!(Generation(1).qualify_version(1) > Generation::FIRST.qualify_version(u64::from(u32::MAX)));
        assert!(last.next().is_none() && last.qualify_version(u64::from(u32::MAX)) < 1 << f64::MANTISSA_DIGITS);
    }
}
