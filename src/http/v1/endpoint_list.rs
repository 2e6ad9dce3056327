//! The endpoints of `/api/v1`: path, method, required permission.

use warp::http::Method;

use crate::api::{Access, AccountScope, AccountSelection, Effect, Operation, Problem, TimeLimit, parse_account};
use crate::domain::Permission;
use crate::http::contract_requests::Query;

/// An endpoint: a path with one method. A segment in braces is a placeholder.
#[derive(Clone, Copy, Debug)]
pub struct ApiEndpoint {
    /// The HTTP method.
    pub method: &'static str,
    /// The path below `/api/v1/`.
    pub path: &'static str,
    /// The permission that a key needs.
    pub permission: Permission,
    scope: AccountScope,
}

/// All endpoints of `/api/v1`.
pub const API_ENDPOINTS: [ApiEndpoint; 48] = [
    ApiEndpoint { method: "GET", path: "accounts", permission: Permission::Read, scope: AccountScope::Filtered },
    ApiEndpoint {
        method: "POST",
        path: "accounts/online",
        permission: Permission::Operate,
        scope: AccountScope::SelfChecked,
    },
    ApiEndpoint {
        method: "POST",
        path: "accounts/recycle",
        permission: Permission::Operate,
        scope: AccountScope::SelfChecked,
    },
    ApiEndpoint { method: "GET", path: "accounts/{account}", permission: Permission::Read, scope: AccountScope::One },
    ApiEndpoint {
        method: "GET",
        path: "accounts/{account}/events",
        permission: Permission::Read,
        scope: AccountScope::One,
    },
    ApiEndpoint {
        method: "GET",
        path: "accounts/{account}/diff",
        permission: Permission::Read,
        scope: AccountScope::One,
    },
    ApiEndpoint {
        method: "DELETE",
        path: "accounts/{account}/secrets",
        permission: Permission::Administer,
        scope: AccountScope::One,
    },
    ApiEndpoint { method: "GET", path: "events", permission: Permission::Read, scope: AccountScope::Filtered },
    ApiEndpoint { method: "GET", path: "acts", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint { method: "GET", path: "export", permission: Permission::Read, scope: AccountScope::Filtered },
    ApiEndpoint { method: "GET", path: "log/checkpoint", permission: Permission::Read, scope: AccountScope::None },
    ApiEndpoint { method: "GET", path: "log/public-key", permission: Permission::Read, scope: AccountScope::None },
    ApiEndpoint { method: "GET", path: "log/proof/inclusion", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint {
        method: "GET",
        path: "log/proof/consistency",
        permission: Permission::Read,
        scope: AccountScope::None,
    },
    ApiEndpoint {
        method: "GET",
        path: "log/proof/account/{account}",
        permission: Permission::Read,
        scope: AccountScope::One,
    },
    ApiEndpoint { method: "GET", path: "overview", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint { method: "GET", path: "settings", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint { method: "GET", path: "gateways", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint {
        method: "POST",
        path: "gateways/{name}/reconcile",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint { method: "GET", path: "projections", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint {
        method: "POST",
        path: "projections/{name}/rebuild",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint { method: "POST", path: "verify", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint { method: "POST", path: "replay", permission: Permission::Operate, scope: AccountScope::All },
    ApiEndpoint { method: "POST", path: "backup", permission: Permission::Operate, scope: AccountScope::All },
    ApiEndpoint { method: "GET", path: "webhooks", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint { method: "GET", path: "webhooks/{channel}", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint {
        method: "PUT",
        path: "webhooks/{channel}/url",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "DELETE",
        path: "webhooks/{channel}/url",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "PUT",
        path: "webhooks/{channel}/secret",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "DELETE",
        path: "webhooks/{channel}/secret",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "PUT",
        path: "webhooks/{channel}/app-secret",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "DELETE",
        path: "webhooks/{channel}/app-secret",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "POST",
        path: "webhooks/{channel}/test",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "POST",
        path: "webhooks/{channel}/pause",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "POST",
        path: "webhooks/{channel}/resume",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "POST",
        path: "webhooks/{channel}/close",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "POST",
        path: "webhooks/{channel}/redeliver",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "GET",
        path: "webhooks/{channel}/deliveries",
        permission: Permission::Read,
        scope: AccountScope::Filtered,
    },
    ApiEndpoint {
        method: "GET",
        path: "webhooks/{channel}/deliveries/{position}",
        permission: Permission::Read,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "POST",
        path: "webhooks/{channel}/deliveries/{position}/resend",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "GET",
        path: "webhooks/{channel}/dead-letters",
        permission: Permission::Read,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "POST",
        path: "webhooks/{channel}/dead-letters/replay",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint {
        method: "POST",
        path: "webhooks/{channel}/dead-letters/drop",
        permission: Permission::Operate,
        scope: AccountScope::All,
    },
    ApiEndpoint { method: "GET", path: "vault", permission: Permission::Read, scope: AccountScope::All },
    ApiEndpoint { method: "POST", path: "vault/rotate", permission: Permission::Administer, scope: AccountScope::All },
    ApiEndpoint { method: "GET", path: "keys", permission: Permission::Administer, scope: AccountScope::All },
    ApiEndpoint { method: "POST", path: "keys", permission: Permission::Administer, scope: AccountScope::All },
    ApiEndpoint { method: "DELETE", path: "keys/{key}", permission: Permission::Administer, scope: AccountScope::All },
];

/// Paths without a deadline: their time depends on the length of the journal, or on a receiver.
const NO_DEADLINE_PATHS: [&str; 5] =
    ["verify", "replay", "webhooks/{channel}/close", "webhooks/{channel}/redeliver", "webhooks/{channel}/test"];

impl ApiEndpoint {
    /// Whether the request has no deadline.
    pub(super) fn has_no_deadline(method: &Method, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        ApiEndpoint::find(method.as_str(), &segments).is_ok_and(|route| NO_DEADLINE_PATHS.contains(&route.path))
    }

    /// Whether the endpoint only reads.
    pub(super) fn is_read_only(&self) -> bool {
        self.method == "GET" || matches!(self.path, "verify" | "replay")
    }

    /// The documented path for a request; empty if no endpoint matches.
    pub(super) fn documented_path(method: &Method, path: &str) -> String {
        let segments: Vec<&str> = path.split('/').collect();
        ApiEndpoint::find(method.as_str(), &segments)
            .map_or_else(|_| String::new(), |route| format!("/api/v1/{}", route.path))
    }

    /// Finds the endpoint of a request. The error distinguishes an unknown path from an unsupported method. A literal segment
    /// takes precedence over a placeholder: `accounts/online` is no account.
    pub(super) fn find(method: &str, segments: &[&str]) -> Result<&'static ApiEndpoint, Problem> {
        let at_it = || API_ENDPOINTS.iter().filter(|route| route.matches(segments));
        let any_segments = at_it().map(ApiEndpoint::count_placeholders).min();
        let mut allowed = Vec::new();
        for route in at_it().filter(|route| Some(route.count_placeholders()) == any_segments) {
            if route.method == method {
                return Ok(route);
            }
            allowed.push(route.method);
        }
        Err(if allowed.is_empty() { Problem::no_such_path() } else { Problem::method_not_allowed(&allowed.join(", ")) })
    }

    /// The number of placeholders in the path.
    fn count_placeholders(&self) -> usize {
        self.path.split('/').filter(|name| name.starts_with('{')).count()
    }

    /// The operation that this endpoint calls.
    pub(super) fn operation(&self) -> Operation {
        let access = Access::Permission(self.permission);
        let effect = if self.is_read_only() { Effect::Reads } else { Effect::Writes };
        Operation { name: self.path, access, accounts: self.scope, effect, time_limit: TimeLimit::RequestTimeout }
    }

    /// The accounts that a request selects.
    pub(super) fn selection(&self, segments: &[&str], query: &Query) -> Result<AccountSelection, Problem> {
        match self.scope {
            AccountScope::None | AccountScope::SelfChecked | AccountScope::All => Ok(AccountSelection::All),
            AccountScope::One => {
                let number = self.path.split('/').zip(segments).find(|(name, _)| *name == "{account}");
                let number = number.map_or("", |(_, number)| number);
                Ok(AccountSelection::One(parse_account("account", number)?))
            }
            AccountScope::Filtered => {
                let find = |name| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
                let account = find("account").and_then(|number| number.parse().ok()).map(AccountSelection::One);
                let prefix = || find("prefix").map(|prefix| AccountSelection::Prefix(prefix.to_owned()));
                Ok(account.or_else(prefix).unwrap_or(AccountSelection::All))
            }
        }
    }

    fn matches(&self, segments: &[&str]) -> bool {
        let names = self.path.split('/');
        names.clone().count() == segments.len()
            && names
                .zip(segments)
                .all(|(name, segment)| name == *segment || (name.starts_with('{') && !segment.is_empty()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn literal_segments_take_precedence() {
        let of = |method, path: &str| {
            ApiEndpoint::find(method, &path.split('/').collect::<Vec<_>>()).map(|route| route.path)
        };
        assert_eq!(of("POST", "accounts/online").ok(), Some("accounts/online"));
        assert_eq!(of("GET", "accounts/861821726232").ok(), Some("accounts/{account}"));
        let refused = of("GET", "accounts/online").unwrap_err();
        assert_eq!(refused.respond().headers()["allow"], "POST");
    }

    #[test]
    fn paths_without_deadline_exist() {
        for path in NO_DEADLINE_PATHS {
            assert!(ApiEndpoint::has_no_deadline(&Method::POST, &path.replace("{channel}", "sync")), "{path}");
        }
        assert!(
            !ApiEndpoint::has_no_deadline(&Method::POST, "backup")
                && !ApiEndpoint::has_no_deadline(&Method::GET, "verify")
        );
    }
}
