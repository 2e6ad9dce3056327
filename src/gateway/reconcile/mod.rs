//! What a gateway's sessions are and what is shown are brought together: at the start, from time to time, and at once
//! when somebody has reason to doubt it.
//!
//! | file | what it is |
//! |---|---|
//! | `compare` | what differs, and what mends it. Pure |
//! | `reconciler` | when that is done, how fast, and what is done while a gateway is away |
//! | `status` | what came of it last, for those who look |

mod compare;
mod reconciler;
mod status;

#[cfg(test)]
mod tests;

pub(crate) use reconciler::Reconciler;
pub(crate) use status::{CompletedReconciliation, ReconcileFailure, ReconcileStatus};
