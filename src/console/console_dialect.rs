//! How pages are served: who may see them, how long they may take, and errors as pages.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout;
use warp::http::{HeaderMap, Method, header};
use warp::path::{FullPath, Tail};
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::layout::{self, PageResult};
use super::page_request::{ConsoleRequest, no_such_page, read_form};
use super::response_headers::set_header;
use super::{Console, assets, routes, sign_in};
use crate::access::{AuthContext, AuthError};
use crate::api::{Problem, run_to_completion};
use crate::http::{
    ConsoleResponse, Dialect, ForwardedError, IncomingBody, RequestHead, ResponseDeadline, RoutedRequest,
    authenticate_page, log_answered, serve_dialect,
};

/// All pages and their files.
pub(super) fn page_routes(
    console: Console,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let files = warp::path("assets").and(warp::path::tail()).and(warp::header::headers_cloned());
    let files = files.map(|name: Tail, headers| assets::handle(name.as_str(), &headers));
    let is_page = warp::path::full().and(warp::header::headers_cloned()).and_then(
        |path: FullPath, headers: HeaderMap| async move {
            let is_page = routes::is_page(path.as_str()) || routes::is_unknown_page(path.as_str(), &headers);
            if is_page { Ok(()) } else { Err(warp::reject::not_found()) }
        },
    );
    let pages = is_page.untuple_one().and(serve_dialect(ConsoleDialect(console)));
    files.or(pages).unify().map(|mut response: Response| {
        response.extensions_mut().insert(ConsoleResponse);
        response
    })
}

/// The dialect of the console.
#[derive(Clone)]
struct ConsoleDialect(Console);

impl Dialect for ConsoleDialect {
    /// The response in place of the page.
    type Error = Response;

    fn trace_route(request: &RoutedRequest) -> &str {
        if routes::is_page(&request.path) { routes::page_root(&request.path) } else { "" }
    }

    async fn authenticate(&self, request: &RoutedRequest) -> Result<AuthContext, Response> {
        let RequestHead { method, path, .. } = &**request;
        if ![Method::GET, Method::HEAD, Method::POST].contains(method) {
            let error = Problem::new(405, "Pages support GET and POST.");
            let mut response = layout::error_page(&error, None);
            set_header(&mut response, header::ALLOW, "GET, HEAD, POST");
            return Err(response);
        }
        if path == "/sign-in" || !routes::is_page(path) {
            // The form carries the key, and `sign_in` verifies it. That a page does not exist is no secret.
            return Ok(AuthContext::ANONYMOUS);
        }
        let (console, changes) = (&self.0.inner, changes(request));
        match authenticate_page(console.api.authenticator(), request, changes).await {
            Ok(auth) => Ok(auth),
            Err(AuthError::MissingKey | AuthError::SignedOut) if !changes => Err(sign_in::redirect_to_sign_in(request)),
            Err(denied) => Err(layout::auth_error_page(denied)),
        }
    }

    async fn handle(
        &self,
        request: &RoutedRequest,
        auth: AuthContext,
        body: &mut IncomingBody,
    ) -> Result<Response, Response> {
        let (ConsoleDialect(console), changes) = (self, changes(request));
        if !routes::is_page(&request.path) {
            return Ok(layout::error_page(&no_such_page(), None));
        }
        let form = match read_form(body).await {
            Ok(form) => form,
            Err(error) => return Ok(layout::error_page(&error, None)),
        };
        match request.path.as_str() {
            "/sign-in" => return Ok(sign_in::sign_in(console, request, &form, changes).await),
            "/sign-out" => return Ok(sign_in::sign_out(console, request, changes)),
            _ => {}
        }
        // The form took its time to arrive, and the reader's key may have ended meanwhile.
        let auth = if changes {
            let authenticator = console.inner.api.authenticator();
            let now = authenticator.keys().reauthenticate(&auth);
            now.inspect_err(|error| authenticator.count_error(*error)).map_err(layout::auth_error_page)?
        } else {
            auth
        };
        let request = Arc::new(ConsoleRequest { console: console.clone(), auth, head: request.head.clone(), form });
        Ok(match answer_in_time(&request, changes).await {
            Ok(answer) => layout::respond(answer, &request),
            Err(error) => layout::error_page(&error, Some(&request)),
        })
    }

    /// From this module, so that a filter for `muster::console` covers the pages.
    fn log(request: &RoutedRequest, response: &Response, started: Instant) {
        log_answered!(request, response, started);
    }

    fn convert_forwarded_error(error: ForwardedError) -> Response {
        layout::error_page(&Problem::new(400, error.to_string()), None)
    }

    /// `handle` keeps the deadline itself, because the page of a late response shows the navigation too.
    fn deadline(&self) -> Option<ResponseDeadline<Response>> {
        None
    }

    fn render_error(&self, _: &RoutedRequest, response: Response) -> Response {
        response
    }
}

/// Whether a request submits a form.
fn changes(request: &RoutedRequest) -> bool {
    request.method == Method::POST
}

/// Answers a request. A submitted form is carried out completely even if the response is late or the browser disconnects.
async fn answer_in_time(request: &Arc<ConsoleRequest>, changes: bool) -> PageResult {
    let limit = request.api().request_timeout();
    let answer = async {
        if !changes {
            return routes::dispatch(request, changes).await;
        }
        let request = request.clone();
        run_to_completion(async move { Ok(routes::dispatch(&request, changes).await) }).await?
    };
    timeout(limit, answer).await.unwrap_or_else(|_| {
        let message = format!("No response within {limit:?}; the request may still complete. Check before you retry.");
        Err(Problem::new(503, message))
    })
}
