//! What there is under `/api/v1`: paths, methods, and what a key must be for.

use warp::http::Method;

use super::parameters::account;
use super::problem::Problem;
use crate::access::Pass;
use crate::domain::Need;
use crate::http::requests::Query;

/// A path with a method. What stands in braces is any segment.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method of HTTP.
    pub method: &'static str,
    /// Under `/api/v1/`.
    pub path: &'static str,
    /// What a key must be for.
    pub need: Need,
    about: About,
}

/// What a request tells of, as far as keys care that are bound to some accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// No account.
    Nothing,
    /// The account in the path.
    One,
    /// The accounts in the body: whoever reads it looks at them.
    Body,
    /// All accounts, or those that `account` or `prefix` in the query names.
    Asked,
    /// All accounts.
    All,
}

/// All of them.
pub const ROUTES: [Route; 48] = [
    Route { method: "GET", path: "accounts", need: Need::Read, about: About::Asked },
    Route { method: "POST", path: "accounts/online", need: Need::Operate, about: About::Body },
    Route { method: "POST", path: "accounts/recycle", need: Need::Operate, about: About::Body },
    Route { method: "GET", path: "accounts/{account}", need: Need::Read, about: About::One },
    Route { method: "GET", path: "accounts/{account}/events", need: Need::Read, about: About::One },
    Route { method: "GET", path: "accounts/{account}/diff", need: Need::Read, about: About::One },
    Route { method: "DELETE", path: "accounts/{account}/secrets", need: Need::Administer, about: About::One },
    Route { method: "GET", path: "events", need: Need::Read, about: About::Asked },
    Route { method: "GET", path: "acts", need: Need::Read, about: About::All },
    Route { method: "GET", path: "export", need: Need::Read, about: About::Asked },
    Route { method: "GET", path: "log/checkpoint", need: Need::Read, about: About::Nothing },
    Route { method: "GET", path: "log/public-key", need: Need::Read, about: About::Nothing },
    Route { method: "GET", path: "log/proof/inclusion", need: Need::Read, about: About::All },
    Route { method: "GET", path: "log/proof/consistency", need: Need::Read, about: About::Nothing },
    Route { method: "GET", path: "log/proof/account/{account}", need: Need::Read, about: About::One },
    Route { method: "GET", path: "overview", need: Need::Read, about: About::All },
    Route { method: "GET", path: "settings", need: Need::Read, about: About::All },
    Route { method: "GET", path: "gateways", need: Need::Read, about: About::All },
    Route { method: "POST", path: "gateways/{name}/reconcile", need: Need::Operate, about: About::All },
    Route { method: "GET", path: "projections", need: Need::Read, about: About::All },
    Route { method: "POST", path: "projections/{name}/rebuild", need: Need::Operate, about: About::All },
    Route { method: "POST", path: "verify", need: Need::Read, about: About::All },
    Route { method: "POST", path: "replay", need: Need::Operate, about: About::All },
    Route { method: "POST", path: "backup", need: Need::Operate, about: About::All },
    Route { method: "GET", path: "webhooks", need: Need::Read, about: About::All },
    Route { method: "GET", path: "webhooks/{channel}", need: Need::Read, about: About::All },
    Route { method: "PUT", path: "webhooks/{channel}/url", need: Need::Operate, about: About::All },
    Route { method: "DELETE", path: "webhooks/{channel}/url", need: Need::Operate, about: About::All },
    Route { method: "PUT", path: "webhooks/{channel}/secret", need: Need::Operate, about: About::All },
    Route { method: "DELETE", path: "webhooks/{channel}/secret", need: Need::Operate, about: About::All },
    Route { method: "PUT", path: "webhooks/{channel}/app-secret", need: Need::Operate, about: About::All },
    Route { method: "DELETE", path: "webhooks/{channel}/app-secret", need: Need::Operate, about: About::All },
    Route { method: "POST", path: "webhooks/{channel}/test", need: Need::Operate, about: About::All },
    Route { method: "POST", path: "webhooks/{channel}/pause", need: Need::Operate, about: About::All },
    Route { method: "POST", path: "webhooks/{channel}/resume", need: Need::Operate, about: About::All },
    Route { method: "POST", path: "webhooks/{channel}/close", need: Need::Operate, about: About::All },
    Route { method: "POST", path: "webhooks/{channel}/redeliver", need: Need::Operate, about: About::All },
    Route { method: "GET", path: "webhooks/{channel}/deliveries", need: Need::Read, about: About::Asked },
    Route { method: "GET", path: "webhooks/{channel}/deliveries/{position}", need: Need::Read, about: About::All },
    Route {
        method: "POST",
        path: "webhooks/{channel}/deliveries/{position}/resend",
        need: Need::Operate,
        about: About::All,
    },
    Route { method: "GET", path: "webhooks/{channel}/dead-letters", need: Need::Read, about: About::All },
    Route { method: "POST", path: "webhooks/{channel}/dead-letters/replay", need: Need::Operate, about: About::All },
    Route { method: "POST", path: "webhooks/{channel}/dead-letters/drop", need: Need::Operate, about: About::All },
    Route { method: "GET", path: "vault", need: Need::Read, about: About::All },
    Route { method: "POST", path: "vault/rotate", need: Need::Administer, about: About::All },
    Route { method: "GET", path: "keys", need: Need::Administer, about: About::All },
    Route { method: "POST", path: "keys", need: Need::Administer, about: About::All },
    Route { method: "DELETE", path: "keys/{key}", need: Need::Administer, about: About::All },
];

/// Paths whose answers take as long as the journal is, or as a receiver takes to answer.
const LONG: [&str; 5] =
    ["verify", "replay", "webhooks/{channel}/close", "webhooks/{channel}/redeliver", "webhooks/{channel}/test"];

impl Route {
    /// Whether a request may wait for its answer for as long as it takes.
    pub(super) fn takes_long(method: &Method, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        Route::of(method.as_str(), &segments).is_ok_and(|route| LONG.contains(&route.path))
    }

    /// Whether nothing is done for a request but reading.
    pub(super) fn only_reads(&self) -> bool {
        self.method == "GET" || matches!(self.path, "verify" | "replay")
    }

    /// The path of a request as it is documented; empty if there is none.
    pub(super) fn documented(method: &Method, path: &str) -> String {
        let segments: Vec<&str> = path.split('/').collect();
        Route::of(method.as_str(), &segments).map_or_else(|_| String::new(), |route| format!("/api/v1/{}", route.path))
    }

    /// The route of a request; if the path takes other methods only, that is said. A path that is written out is none of
    /// those with any segment in its place: `accounts/online` is no account.
    pub(super) fn of(method: &str, segments: &[&str]) -> Result<&'static Route, Problem> {
        let at_it = || ROUTES.iter().filter(|route| route.is_at(segments));
        let any_segments = at_it().map(Route::any_segments).min();
        let mut allowed = Vec::new();
        for route in at_it().filter(|route| Some(route.any_segments()) == any_segments) {
            if route.method == method {
                return Ok(route);
            }
            allowed.push(route.method);
        }
        Err(if allowed.is_empty() { Problem::no_such_path() } else { Problem::method(&allowed.join(", ")) })
    }

    /// How many of its segments may be any.
    fn any_segments(&self) -> usize {
        self.path.split('/').filter(|name| name.starts_with('{')).count()
    }

    /// Lets nobody through who may not make this request.
    pub(super) fn admit(&self, pass: &Pass, segments: &[&str], query: &Query) -> Result<(), Problem> {
        pass.needs(self.need)?;
        match self.about {
            About::Nothing | About::Body => Ok(()),
            About::One => {
                let number = self.path.split('/').zip(segments).find(|(name, _)| *name == "{account}");
                let number = number.map_or("", |(_, number)| number);
                Ok(pass.needs_account(account("account", number)?)?)
            }
            About::Asked => {
                let is_seen = |(name, value): &(String, String)| match name.as_str() {
                    "account" => account("account", value).is_ok_and(|account| pass.sees(account)),
                    "prefix" => pass.bound().iter().any(|first| value.starts_with(first.as_str())),
                    _ => false,
                };
                if query.iter().any(is_seen) { Ok(()) } else { Ok(pass.needs_all()?) }
            }
            About::All => Ok(pass.needs_all()?),
        }
    }

    fn is_at(&self, segments: &[&str]) -> bool {
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
    fn a_path_that_is_written_out_is_no_other() {
        let of = |method, path: &str| Route::of(method, &path.split('/').collect::<Vec<_>>()).map(|route| route.path);
        assert_eq!(of("POST", "accounts/online").ok(), Some("accounts/online"));
        assert_eq!(of("GET", "accounts/861821726232").ok(), Some("accounts/{account}"));
        let refused = of("GET", "accounts/online").unwrap_err();
        assert_eq!(refused.respond().headers()["allow"], "POST");
    }

    #[test]
    fn what_takes_long_is_there() {
        for path in LONG {
            assert!(Route::takes_long(&Method::POST, &path.replace("{channel}", "sync")), "{path}");
        }
        assert!(!Route::takes_long(&Method::POST, "backup") && !Route::takes_long(&Method::GET, "verify"));
    }
}
