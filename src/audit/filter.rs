//! Which facts somebody wants to see. Pure.

use super::event::name_in;
use crate::domain::{AccountNumber, Timestamp};
use crate::journal::{self, Glance, Recorded, Stream};

/// A filter: a fact is wanted if it is as each part says that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one account only.
    pub account: Option<AccountNumber>,
    /// Of these types only: as in `came_online` or `muster.account.came_online.v1`. None given: of all.
    pub types: Vec<String>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether a name of a type, as somebody wrote it, is one.
    pub fn is_type(written: &str) -> bool {
        journal::names().any(|name| name == name_in(written))
    }

    /// Whether everything is wanted.
    pub(super) fn is_everything(&self) -> bool {
        *self == Filter::default()
    }

    pub(super) fn wants(&self, glance: &Glance) -> bool {
        let Glance { stream, at, name, .. } = *glance;
        self.account.is_none_or(|account| stream == Stream::Account(account))
            && self.wants_name(name)
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }

    pub(super) fn wants_record(&self, record: &Recorded) -> bool {
        let Recorded { position, stream, at, fact, .. } = record;
        self.wants(&Glance { position: *position, stream: *stream, at: *at, name: fact.name() })
    }

    fn wants_name(&self, name: Option<&str>) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| name == Some(name_in(wanted)))
    }
}
