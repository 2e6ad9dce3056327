//! The source that a verb reads: a running service, or a data directory without one. A service gets HTTP requests. On a
//! directory, the verb calls the API itself. Both give the same responses, byte for byte.

use std::path::{Path, PathBuf};
use std::{env, io};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Identity};
use serde_json::{Value, json};
use tokio::runtime::{self, Runtime};
use zeroize::Zeroizing;

use super::listing_output::ListingFormat;
use super::offline_source::OfflineSource;
use super::{Error, secret_file};
use crate::api::master_key::MasterKeyView;
use crate::client::{self, FailureClass, redact_url};
use crate::config::{
    API_KEY_VARIABLE, CA_FILE_VARIABLE, CLIENT_CERT_FILE_VARIABLE, FlagValue, SERVER_VARIABLE, load_from_process,
    parse_receiver_url,
};
use crate::domain::escape_controls;
use crate::files::read_file;
use crate::limits::{CLI_CONNECT_TIMEOUT, NAMED_FILE_BYTES, PROBLEM_BYTES};
use crate::service::{OfflineDirectory, RotationReport};
use crate::vault::{self, Vault};

/// The flags that say where to read from.
#[derive(clap::Args)]
pub(super) struct SourceArgs {
    /// Use the running service at this URL [env: MUSTER_SERVER] [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    server: Option<String>,
    /// Read this data directory; no service may be using it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Read settings from this TOML file, to find the master key
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    config: Option<PathBuf>,
    /// Read the API key from this file, or from standard input for - [default: MUSTER_API_KEY]
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    api_key_file: Option<PathBuf>,
    /// Trust only servers with a certificate from a CA in this PEM file [env: MUSTER_CA_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    ca_file: Option<PathBuf>,
    /// Present the client certificate in this PEM file, which also has its key [env: MUSTER_CLIENT_CERT_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    client_cert_file: Option<PathBuf>,
}

/// The flags of a verb that requests data: the source, and the output format.
#[derive(clap::Args)]
pub(super) struct RequestArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t = ListingFormat::Text)]
    pub(super) output: ListingFormat,
    #[command(flatten)]
    pub(super) source: SourceArgs,
}

/// A request of a verb.
pub(super) struct ApiRequest<'a> {
    pub(super) method: &'static str,
    /// The path under `/api/v1/`, with its query.
    pub(super) path: &'a str,
    pub(super) accept: &'static str,
}

pub(super) const JSON: &str = "application/json";
pub(super) const NDJSON: &str = "application/x-ndjson";
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// The default URL of a service.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// An opened source.
pub(super) struct ApiClient {
    runtime: Runtime,
    backend: ApiBackend,
}

enum ApiBackend {
    Server { http: reqwest::Client, url: String },
    Directory(Box<OfflineDirectory>),
}

impl SourceArgs {
    /// Opens the source. Does not connect to a service yet.
    pub(super) fn open(&self) -> Result<ApiClient, Error> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|source| Error::Service(crate::service::Error::Threads(source)))?;
        let backend = match &self.data_dir {
            Some(_) => ApiBackend::Directory(Box::new(self.open_directory()?)),
            None => {
                let server = self.server.clone().or_else(|| env_var(SERVER_VARIABLE));
                let url = server.as_deref().unwrap_or(DEFAULT_SERVER).trim_end_matches('/').to_owned();
                if parse_receiver_url(&url).is_none() {
                    return Err(Error::Usage(
                        "--server (MUSTER_SERVER) must be an http or https URL without a #fragment, such as \
                         http://127.0.0.1:8080",
                    ));
                }
                let http = self
                    .configure_tls(
                        client::streaming_client_builder(CLI_CONNECT_TIMEOUT).default_headers(self.auth_headers()?),
                    )?
                    .build();
                ApiBackend::Server { http: http.map_err(|error| unreachable_error(&url, &error))?, url }
            }
        };
        Ok(ApiClient { runtime, backend })
    }

    /// The headers of every request: the API key, if there is one.
    fn auth_headers(&self) -> Result<HeaderMap, Error> {
        let key = match &self.api_key_file {
            Some(file) => Some(secret_file::read_secret(file)?),
            None => env_var(API_KEY_VARIABLE),
        };
        let Some(key) = key else { return Ok(HeaderMap::new()) };
        let malformed = || Error::Usage("the API key has characters that keys do not have; keys begin with muster_");
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim())).map_err(|_| malformed())?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    /// Configures TLS from the flags: the CAs to trust, and the client certificate.
    fn configure_tls(&self, mut client: ClientBuilder) -> Result<ClientBuilder, Error> {
        let file_path = |flag: &Option<PathBuf>, name| flag.clone().or_else(|| env_var(name).map(PathBuf::from));
        let unusable = |path: &Path, message: &str| {
            let source = io::Error::new(io::ErrorKind::InvalidData, message);
            Error::FileAccess { what: "use", path: path.to_owned(), source }
        };
        if let Some(path) = file_path(&self.ca_file, CA_FILE_VARIABLE) {
            let trusted =
                Certificate::from_pem_bundle(&read_pem_file(&path)?).ok().filter(|trusted| !trusted.is_empty());
            let message = "it has no CA certificate; it must be PEM (BEGIN CERTIFICATE)";
            client = client.tls_certs_only(trusted.ok_or_else(|| unusable(&path, message))?);
        }
        if let Some(path) = file_path(&self.client_cert_file, CLIENT_CERT_FILE_VARIABLE) {
            let message = "it must have a certificate and its private key, one after the other, both PEM";
            client = client.identity(Identity::from_pem(&read_pem_file(&path)?).map_err(|_| unusable(&path, message))?);
        }
        Ok(client)
    }

    /// Opens the data directory.
    fn open_directory(&self) -> Result<OfflineDirectory, Error> {
        let value = self.data_dir.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let flags = [FlagValue { flag: "--data-dir", setting: "data_dir", value }];
        Ok(OfflineDirectory::open(&load_from_process(self.config.clone(), &flags)?.settings)?)
    }
}

impl ApiClient {
    /// The data directory, if the source is one.
    pub(super) fn offline(&self) -> Option<OfflineSource<'_>> {
        match &self.backend {
            ApiBackend::Directory(directory) => Some(OfflineSource::new(directory, &self.runtime)),
            ApiBackend::Server { .. } => None,
        }
    }

    /// The data directory and its vault. `None` if the source is a service.
    fn offline_vault(&self) -> Option<Result<(&OfflineDirectory, &Vault), Error>> {
        let ApiBackend::Directory(directory) = &self.backend else { return None };
        let missing =
            |why: &vault::Error| Error::ErrorResponse { status: 503, detail: why.to_string(), is_fault: false };
        Some(directory.vault().map(|vault| (&**directory, vault)).map_err(missing))
    }

    /// The master key and the backups that need it, from a service or a data directory.
    pub(super) fn show_master_key(&self) -> Result<Value, Error> {
        match self.offline_vault() {
            Some(found) => {
                let (directory, vault) = found?;
                Ok(json!(MasterKeyView::new(vault, directory.audit())?))
            }
            None => self.request_json(&ApiRequest { method: "GET", path: "vault", accept: JSON }),
        }
    }

    /// Reverts a rotation of the master key in a data directory. `None` if the source is a service.
    pub(super) fn abort_rotation(&self) -> Option<Result<RotationReport, Error>> {
        let found = self.offline_vault()?;
        Some(found.and_then(|(directory, vault)| Ok(directory.abort_rotation(vault, self.runtime.handle())?)))
    }

    /// Sends a request to a service, and passes the response to `take` as it arrives. Fails on a data directory.
    pub(super) fn request(
        &self,
        request: &ApiRequest<'_>,
        take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let ApiRequest { method, path, accept } = *request;
        let (http, url) = self.server()?;
        let request = if method == "POST" { http.post(api_url(url, path)) } else { http.get(api_url(url, path)) };
        self.runtime.block_on(send_to_service(http, url, request.header("accept", accept), take))
    }

    /// The HTTP client and the URL of the service. An error if the source is a data directory.
    fn server(&self) -> Result<(&reqwest::Client, &str), Error> {
        match &self.backend {
            ApiBackend::Server { http, url } => Ok((http, url)),
            ApiBackend::Directory(directory) => Err(directory.api().service().err().map_or(
                Error::Usage("a data directory does not accept commands; name a running service with --server"),
                Error::from,
            )),
        }
    }

    /// Sends a command to a service, with a JSON body or none, and returns the JSON value in the response.
    pub(super) fn submit(&self, method: &'static str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let mut response = Vec::new();
        self.submit_streaming(method, path, body, |piece| {
            response.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(serde_json::from_slice(&response).unwrap_or_default())
    }

    /// Like [`submit`](ApiClient::submit), but passes the response to `take` as it arrives.
    pub(super) fn submit_streaming(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (http, url) = self.server()?;
        let request =
            http.request(reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default(), api_url(url, path));
        let request = match body {
            Some(body) => request.header("content-type", JSON).body(body.to_string()),
            None => request,
        };
        self.runtime.block_on(send_to_service(http, url, request.header("accept", JSON), take))
    }

    /// Checks that a service accepts requests; an error if it does not.
    pub(super) fn check_ready(&self) -> Result<(), Error> {
        let ApiBackend::Server { http, url } = &self.backend else {
            return Err(Error::Usage(
                "a data directory does not accept commands; name a running service with --server",
            ));
        };
        let request = http.get(format!("{url}/readyz")).timeout(CLI_CONNECT_TIMEOUT);
        self.runtime.block_on(send_to_service(http, url, request, |_| Ok(())))
    }

    /// Sends a request to a service, and returns the JSON value in the response.
    pub(super) fn request_json(&self, request: &ApiRequest<'_>) -> Result<Value, Error> {
        let mut body = Vec::new();
        self.request(request, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// The value of an environment variable, if it is set and not empty.
fn env_var(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The content of a file that may hold a private key.
fn read_pem_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_file(path, NAMED_FILE_BYTES).map_err(|source| Error::FileAccess {
        what: "read",
        path: path.to_owned(),
        source,
    })
}

/// The URL of a path at the service `server`.
fn api_url(server: &str, path: &str) -> String {
    format!("{server}/api/v1/{path}")
}

/// Sends a request to the service at `server`, and passes the response to `take` as it arrives.
///
/// A service breaks off a response when the request's API key is revoked or expires. To learn that reason, this function
/// sends one more request.
async fn send_to_service(
    http: &reqwest::Client,
    server: &str,
    request: reqwest::RequestBuilder,
    take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let response = request.send().await.map_err(|error| unreachable_error(server, &error))?;
    let status = response.status().as_u16();
    let pieces = response
        .bytes_stream()
        .map(|piece| piece.map_err(|error| broken_response_error(&redact_url(server), &error.without_url())));
    let outcome = stream_body(status, pieces, take).await;
    if matches!(outcome, Err(Error::Unreachable { .. })) {
        let probe = http.get(api_url(server, "gateways")).timeout(CLI_CONNECT_TIMEOUT).send().await;
        if let Ok(probe) = probe
            && probe.status().as_u16() == 401
        {
            let pieces = probe
                .bytes_stream()
                .map(|piece| piece.map_err(|error| broken_response_error(&redact_url(server), &error.without_url())));
            stream_body(401, pieces, |_| Ok(())).await?;
        }
    }
    outcome
}

/// Passes the body of a success to `take`, and turns any other body into an error.
async fn stream_body(
    status: u16,
    pieces: impl Stream<Item = Result<Bytes, Error>>,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut pieces = std::pin::pin!(pieces);
    if (200..300).contains(&status) {
        while let Some(piece) = pieces.next().await {
            take(&piece?)?;
        }
        return Ok(());
    }
    let mut body = Vec::new();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece?);
        if body.len() > PROBLEM_BYTES {
            break;
        }
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let detail = problem["detail"].as_str().map(escape_controls);
    let detail = detail.unwrap_or_else(|| format!("the server is not a muster service: HTTP {status}"));
    Err(Error::ErrorResponse { status, detail, is_fault: problem["type"] == "urn:muster:problem:not-whole" })
}

/// The error for a service that cannot be reached: the reason, and what may help.
fn unreachable_error(server: &str, error: &reqwest::Error) -> Error {
    let (class, why) = client::classify_reqwest(error);
    let advice = match (class, server.starts_with("https:")) {
        (FailureClass::Tls, _) if why.contains("UnknownIssuer") => {
            "name the file with its certificate's CA with --ca-file (MUSTER_CA_FILE)"
        }
        (FailureClass::Tls, _) if why.contains("certificate not valid for name") => {
            "use the host name in its certificate with --server"
        }
        (FailureClass::Tls | FailureClass::Reset, true) => {
            "check that it uses TLS; if it requires a client certificate, give one with --client-cert-file \
             (MUSTER_CLIENT_CERT_FILE)"
        }
        // A service with TLS does not respond to plain HTTP.
        (FailureClass::Reset | FailureClass::Network, false) => {
            "check that it is running; if it uses TLS, name it with https:// in --server (MUSTER_SERVER)"
        }
        (
            FailureClass::Tls
            | FailureClass::Dns
            | FailureClass::Forbidden
            | FailureClass::Refused
            | FailureClass::Timeout
            | FailureClass::TooLong
            | FailureClass::Network,
            _,
        ) => "check that it is running; name it with --server, or a stopped data directory with --data-dir",
    };
    Error::Unreachable { server: redact_url(server), why, advice }
}

/// The error for a response that broke off.
fn broken_response_error(server: &str, error: &dyn std::error::Error) -> Error {
    // The outer message only says that a request failed.
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    let advice = "the response is incomplete; retry, or check with `muster verify` that the journal is not damaged";
    Error::Unreachable { server: server.to_owned(), why: innermost.to_string(), advice }
}

/// The query string of the parameters that have a value, encoded; empty if none has one.
pub(super) fn query_string(parameters: &[(&str, Option<String>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}
