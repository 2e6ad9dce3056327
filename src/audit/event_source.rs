//! How events are identified: the `source` and the `id` of each follow from its position and the generations of the log.
//!
//! Frozen: the forms of the log's name, of `source`, and of the origin of checkpoints. Bundles, exports, checkpoints and
//! webhook ids hold them. In generation 0 they have no generation.

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::{EventId, Generation};
use crate::journal::Generations;
use crate::store::StoreId;

/// The `source` and the `id` of each event of a log. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventSource {
    /// The `source` in generation 0.
    urn: Arc<str>,
    generations: Generations,
}

/// The prefix of a log's name, before the store's id.
const LOG_NAME_PREFIX: &str = "muster.local/";

impl EventSource {
    /// The source of the events in the log with this name.
    pub(super) fn new(log_name: &str, generations: Generations) -> EventSource {
        let store = log_name.strip_prefix(LOG_NAME_PREFIX).unwrap_or(log_name);
        EventSource { urn: format!("urn:muster:{store}").into(), generations }
    }

    pub(super) fn generations(&self) -> &Generations {
        &self.generations
    }

    /// The `source` of the events of a generation, such as `urn:muster:0123456789abcdef:1`.
    pub(super) fn of(&self, generation: Generation) -> Cow<'_, str> {
        match generation {
            Generation::FIRST => Cow::Borrowed(&self.urn),
            later => Cow::Owned(format!("{}:{later}", self.urn)),
        }
    }

    /// The `source` of the event at `position`.
    pub(super) fn at(&self, position: u64) -> Cow<'_, str> {
        self.of(self.generations.at(position))
    }

    /// The `source` of the events of the current generation.
    pub(super) fn current(&self) -> Cow<'_, str> {
        self.of(self.generations.current())
    }

    /// The `id` of the event at `position`.
    pub(super) fn event_id(&self, position: u64) -> EventId {
        self.generations.event_id(position)
    }
}

/// The name of a store's log.
pub(super) fn log_name(store: StoreId) -> String {
    format!("{LOG_NAME_PREFIX}{store}")
}

/// The origin of checkpoints of the log `name` in a generation, such as `muster.local/0123456789abcdef/1`.
pub(super) fn checkpoint_origin(name: &str, generation: Generation) -> String {
    match generation {
        Generation::FIRST => name.to_owned(),
        later => format!("{name}/{later}"),
    }
}

/// The generation in the origin of a checkpoint of the log `name`. `None` if it is of another log.
pub(super) fn parse_checkpoint_origin(origin: &str, name: &str) -> Option<Generation> {
    let rest = origin.strip_prefix(name)?;
    let generation = match rest.strip_prefix('/') {
        Some(number) => Generation::new(number.parse().ok()?)?,
        None => Generation::FIRST,
    };
    (checkpoint_origin(name, generation) == origin).then_some(generation)
}
