//! Reconciliation: compares a gateway's sessions with the roster and repairs differences. It runs at start,
//! periodically, and on request.
//!
//! | file | what it is |
//! |---|---|
//! | `compare` | finds the differences and their repair actions. Pure |
//! | `reconciler` | the loop: when to compare, at which pace to repair, when to retry |
//! | `status` | the last result, and the trigger for another run |

mod compare;
mod reconciler;
mod status;

#[cfg(test)]
mod tests;

pub(crate) use reconciler::Reconciler;
pub(crate) use status::{CompletedReconciliation, ReconcileFailure, ReconcileStatus};
