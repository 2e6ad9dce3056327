//! Where a verb reads from: a running service, or a data directory that none uses. Both are asked the same questions and
//! give the same answers, byte for byte.

use std::path::{Path, PathBuf};
use std::{env, io};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Identity};
use serde_json::Value;
use tokio::runtime::{self, Runtime};
use zeroize::Zeroizing;

use super::listing::Form;
use super::{Error, secret};
use crate::client::{self, Class, redact_url};
use crate::config::{
    API_KEY_VARIABLE, CA_FILE_VARIABLE, CLIENT_CERT_FILE_VARIABLE, Flag, SERVER_VARIABLE, load_from_process,
    receiver_url,
};
use crate::files::read_file;
use crate::limits::{ASK_TIMEOUT, NAMED_FILE_BYTES};
use crate::service::{Offline, Rotated};

/// The flags that say where to read from.
#[derive(clap::Args)]
pub(super) struct Source {
    /// Ask the running service at this URL [env: MUSTER_SERVER] [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    server: Option<String>,
    /// Read this data directory, which no service uses
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Read settings from this TOML file, for where the master key is
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    config: Option<PathBuf>,
    /// Show the service the API key in this file, - for standard input [default: that in MUSTER_API_KEY]
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    api_key_file: Option<PathBuf>,
    /// Trust the service if a CA in this PEM file says who it is, and no other [env: MUSTER_CA_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    ca_file: Option<PathBuf>,
    /// Show the service the certificate in this PEM file, which has its key too [env: MUSTER_CLIENT_CERT_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    client_cert_file: Option<PathBuf>,
}

/// The flags of a verb that asks: whom, and the form in which it tells the answer.
#[derive(clap::Args)]
pub(super) struct Told {
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    pub(super) output: Form,
    #[command(flatten)]
    pub(super) source: Source,
}

/// What a verb asks.
pub(super) struct Question<'a> {
    pub(super) method: &'static str,
    /// Under `/api/v1/`, with its query.
    pub(super) path: &'a str,
    pub(super) accept: &'static str,
}

pub(super) const JSON: &str = "application/json";
pub(super) const NDJSON: &str = "application/x-ndjson";
pub(super) const LIVE: &str = "text/event-stream";

/// The address where a service answers by default.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// A source, open.
pub(super) struct Open {
    runtime: Runtime,
    from: From,
}

enum From {
    Server { http: reqwest::Client, url: String },
    Directory(Box<Offline>),
}

impl Source {
    pub(super) fn open(&self) -> Result<Open, Error> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|source| Error::Service(crate::service::Error::Threads(source)))?;
        let from = match &self.data_dir {
            Some(_) => From::Directory(Box::new(self.directory()?)),
            None => {
                let server = self.server.clone().or_else(|| variable(SERVER_VARIABLE));
                let url = server.as_deref().unwrap_or(DEFAULT_SERVER).trim_end_matches('/').to_owned();
                if receiver_url(&url).is_none() {
                    return Err(Error::Usage(
                        "--server (MUSTER_SERVER) must be an http or https URL, as in http://127.0.0.1:8080",
                    ));
                }
                let http = self.trusting(client::builder(ASK_TIMEOUT).default_headers(self.headers()?))?.build();
                From::Server { http: http.map_err(|error| unasked(&url, &error))?, url }
            }
        };
        Ok(Open { runtime, from })
    }

    /// The headers of every request: the API key, if there is one.
    fn headers(&self) -> Result<HeaderMap, Error> {
        let key = match &self.api_key_file {
            Some(file) => Some(secret::read(file)?),
            None => variable(API_KEY_VARIABLE),
        };
        let Some(key) = key else { return Ok(HeaderMap::new()) };
        let wrong = || Error::Usage("the API key has characters that no key has; it begins with muster_");
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim())).map_err(|_| wrong())?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    /// A client that takes the service, and shows it, what the flags say.
    fn trusting(&self, mut client: ClientBuilder) -> Result<ClientBuilder, Error> {
        let file = |flag: &Option<PathBuf>, name| flag.clone().or_else(|| variable(name).map(PathBuf::from));
        let unusable = |path: &Path, words: &str| {
            let source = io::Error::new(io::ErrorKind::InvalidData, words);
            Error::File { what: "use", path: path.to_owned(), source }
        };
        if let Some(path) = file(&self.ca_file, CA_FILE_VARIABLE) {
            let trusted = Certificate::from_pem_bundle(&read(&path)?).ok().filter(|trusted| !trusted.is_empty());
            let words = "it holds no certificate of a CA; it must be PEM (BEGIN CERTIFICATE)";
            client = client.tls_certs_only(trusted.ok_or_else(|| unusable(&path, words))?);
        }
        if let Some(path) = file(&self.client_cert_file, CLIENT_CERT_FILE_VARIABLE) {
            let words = "it must hold a certificate and its private key, one behind the other, both PEM";
            client = client.identity(Identity::from_pem(&read(&path)?).map_err(|_| unusable(&path, words))?);
        }
        Ok(client)
    }

    /// The data directory, open.
    fn directory(&self) -> Result<Offline, Error> {
        let value = self.data_dir.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let flags = [Flag { flag: "--data-dir", setting: "data_dir", value }];
        Ok(Offline::open(&load_from_process(self.config.clone(), &flags)?.settings)?)
    }
}

impl Open {
    /// The data directory, if it is one.
    pub(super) fn offline(&self) -> Option<&Offline> {
        match &self.from {
            From::Directory(offline) => Some(offline),
            From::Server { .. } => None,
        }
    }

    /// Undoes a rotation of the master key in a directory that no service uses; `None` where a service is asked.
    pub(super) fn abort_rotation(&self) -> Option<Result<Rotated, Error>> {
        let offline = self.offline()?;
        Some(match offline.unsigned() {
            Some(why) => Err(Error::Refused { status: 503, detail: why.to_string(), is_fault: false }),
            None => offline.abort_rotation(self.runtime.handle()).map_err(Error::from),
        })
    }

    /// Asks, and hands the answer to `take` as it comes.
    pub(super) fn ask(
        &self,
        question: &Question<'_>,
        take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.ask_with(question, "", take)
    }

    /// Asks with a body; a service is [told](Open::tell) instead.
    fn ask_with(
        &self,
        question: &Question<'_>,
        body: &str,
        take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Question { method, path, accept } = *question;
        match &self.from {
            From::Server { http, url } => {
                let request = if method == "POST" { http.post(at(url, path)) } else { http.get(at(url, path)) };
                self.runtime.block_on(send(url, request.header("accept", accept), take))
            }
            From::Directory(offline) => self.runtime.block_on(async {
                let answer = offline.ask(method, path, accept, body.to_owned()).await?;
                let pieces = answer.body.map(|piece| piece.map_err(|error| broken("the data directory", &error)));
                let drained = drain(answer.status, pieces, take).await;
                match (drained, offline.unsigned()) {
                    // What is missing is the key, and why is known here.
                    (Err(Error::Refused { status: 503, .. }), Some(why)) => {
                        Err(Error::Refused { status: 503, detail: why.to_string(), is_fault: false })
                    }
                    (drained, _) => drained,
                }
            }),
        }
    }

    /// Tells a service to do something, with a JSON body or none; the answer is one JSON value. What only a service does is
    /// refused by a directory that none uses, in words that say so.
    pub(super) fn tell(&self, method: &'static str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let mut answer = Vec::new();
        self.tell_in_pieces(method, path, body, |piece| {
            answer.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// Likewise, where the answer comes bit by bit.
    pub(super) fn tell_in_pieces(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let From::Server { http, url } = &self.from else {
            let body = body.map(Value::to_string).unwrap_or_default();
            return self.ask_with(&Question { method, path, accept: JSON }, &body, take);
        };
        let request = http.request(reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default(), at(url, path));
        let request = match body {
            Some(body) => request.header("content-type", JSON).body(body.to_string()),
            None => request,
        };
        self.runtime.block_on(send(url, request.header("accept", JSON), take))
    }

    /// Asks a service whether it takes requests; that it does not is an error.
    pub(super) fn is_ready(&self) -> Result<(), Error> {
        let From::Server { http, url } = &self.from else {
            return Err(Error::Usage("a directory takes no requests; name a running service with --server"));
        };
        let request = http.get(format!("{url}/readyz")).timeout(ASK_TIMEOUT);
        self.runtime.block_on(send(url, request, |_| Ok(())))
    }

    /// Asks for something that is one JSON value.
    pub(super) fn ask_value(&self, question: &Question<'_>) -> Result<Value, Error> {
        let mut body = Vec::new();
        self.ask(question, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// What an environment variable says, if it says anything.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What is in a file that may hold a private key.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_file(path, NAMED_FILE_BYTES).map_err(|source| Error::File { what: "read", path: path.to_owned(), source })
}

/// Where the service at `server` has what is asked for.
fn at(server: &str, path: &str) -> String {
    format!("{server}/api/v1/{path}")
}

/// Sends a request to the service at `server`, and hands the answer to `take` as it comes.
async fn send(
    server: &str,
    request: reqwest::RequestBuilder,
    take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let answer = request.send().await.map_err(|error| unasked(server, &error))?;
    let status = answer.status().as_u16();
    let pieces =
        answer.bytes_stream().map(|piece| piece.map_err(|error| broken(&redact_url(server), &error.without_url())));
    drain(status, pieces, take).await
}

async fn drain(
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
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let detail = problem["detail"].as_str().map(str::to_owned);
    let detail = detail.unwrap_or_else(|| format!("what answered is no muster service: HTTP {status}"));
    Err(Error::Refused { status, detail, is_fault: problem["type"] == "urn:muster:problem:not-whole" })
}

/// Why a service cannot be asked, and what may help.
fn unasked(server: &str, error: &reqwest::Error) -> Error {
    let (class, why) = client::class(error);
    let mend = match (class, server.starts_with("https:")) {
        (Class::Tls, _) if why.contains("UnknownIssuer") => {
            "name the file with the CA of its certificate with --ca-file (MUSTER_CA_FILE)"
        }
        (Class::Tls, _) if why.contains("certificate not valid for name") => {
            "name it in --server as its certificate does"
        }
        (Class::Tls | Class::Reset, true) => {
            "is it served over TLS, and does it want a certificate? show it one with --client-cert-file \
             (MUSTER_CLIENT_CERT_FILE)"
        }
        // What a service that serves over TLS sends is no HTTP.
        (Class::Reset | Class::Network, false) => {
            "is it running, and does it serve over TLS? then name it with https:// in --server (MUSTER_SERVER)"
        }
        (
            Class::Tls
            | Class::Dns
            | Class::Forbidden
            | Class::Refused
            | Class::Timeout
            | Class::TooLong
            | Class::Network,
            _,
        ) => "is it running? name it with --server, or a stopped data directory with --data-dir",
    };
    Error::Unreachable { server: redact_url(server), why, mend }
}

/// An answer broke off.
fn broken(server: &str, error: &dyn std::error::Error) -> Error {
    // The outer words say that a request failed, which is known.
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    let mend = "what came is not the whole answer; ask again, or see with `muster verify` whether the journal is whole";
    Error::Unreachable { server: server.to_owned(), why: innermost.to_string(), mend }
}

/// Parameters of a query, those that are given, encoded.
pub(super) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}
