//! A demonstration on one terminal: the real service, a caller's requests and a receiver of webhooks.
//!
//! | file | what it knows |
//! |---|---|
//! | `scenario` | the accounts, the requests, and the expected webhooks. Pure |
//! | `caller` | sends the requests, as a caller's back-end would |
//! | `transcript` | the printed lines for requests and webhooks, and the summary. Pure |

mod caller;
mod scenario;
mod transcript;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use crate::config::{EffectiveSettings, Settings};
use crate::journal::{self, Journal};
use crate::limits::{DEMO_COMING_TIMEOUT, DEMO_DELAY, DEMO_TIMEOUT};
use crate::receiver::{self, ReceivedWebhook, ReceiverOptions};
use crate::store::{self, Store};
use crate::{clock, service};
use caller::DemoCaller;
use scenario::ScenarioStep;
use transcript::Transcript;

/// Why the demonstration failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Creating the temporary directory or the threads failed.
    #[error("the demonstration cannot create a temporary directory or threads: {0}")]
    Io(#[from] io::Error),
    /// The service could not start, or failed.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// The service ended early.
    #[error("the demonstration's service ended early")]
    ServiceEnded,
    /// The caller's HTTP client cannot be created.
    #[error("the demonstration's HTTP client cannot be created: {0}")]
    Client(#[from] reqwest::Error),
    /// The demonstration was interrupted.
    #[error("the demonstration was interrupted")]
    Interrupted,
    /// A request got no response.
    #[error("the service did not respond to {endpoint}: {why}")]
    RequestFailed {
        /// The endpoint.
        endpoint: &'static str,
        /// The cause.
        why: String,
    },
    /// Webhooks are missing.
    #[error("only {arrived} of {expected} webhooks arrived within {} s", .patience.as_secs())]
    WebhooksMissing {
        /// How many arrived.
        arrived: usize,
        /// How many were expected.
        expected: usize,
        /// How long the demonstration waited for the next one.
        patience: Duration,
    },
    /// An account's webhooks differ from the expected ones.
    #[error("{account} got the webhooks {arrived:?}, not {expected:?}")]
    WebhooksDiffer {
        /// The account.
        account: String,
        /// The webhooks that arrived, in order.
        arrived: Vec<String>,
        /// The expected ones.
        expected: Vec<String>,
    },
    /// The journal cannot be opened after the service stopped.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The journal failed verification after the service stopped.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

/// Runs the demonstration and prints each line as it happens, in colour if `is_colourful`. Cancelling `stop` ends it early
/// with [`Error::Interrupted`]. Leaves no files behind.
pub fn run(is_colourful: bool, mut print: impl FnMut(&str), stop: &CancellationToken) -> Result<(), Error> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().thread_name("demo").build()?;
    let directory = TempDir::with_prefix("muster-demo-")?;
    let data = directory.path().join("data");
    let mut transcript = Transcript::new(clock::now(), is_colourful);
    print(transcript::OPENING);
    runtime.block_on(run_service_and_scenario(&data, &mut transcript, &mut print, stop))?;
    // The service has released the directory, so the journal can be opened and verified.
    let journal = Journal::open(Store::open(&data, &Settings::default().store)?, Box::new(|_| {}))?;
    print(&transcript.summary(&journal.verify()?));
    transcript.check()
}

/// Runs service, caller and receiver. Always stops the service at the end.
async fn run_service_and_scenario(
    data: &Path,
    transcript: &mut Transcript,
    print: &mut impl FnMut(&str),
    stop: &CancellationToken,
) -> Result<(), Error> {
    let end = CancellationToken::new();
    let _stop_receiver = end.clone().drop_guard();
    let (receiver, mut arrivals) = receiver::start("127.0.0.1:0", ReceiverOptions::default(), end.clone()).await?;

    let stopping = CancellationToken::new();
    let (service, address) = start_service(demo_settings(data, receiver), stopping.clone());
    let stopping = stopping.drop_guard();
    let scenario = stop.run_until_cancelled(async {
        match address.await {
            Ok(address) => run_scenario(address, transcript, &mut arrivals, print).await,
            // The result of the service, which is awaited below, has the reason.
            Err(_) => Err(Error::ServiceEnded),
        }
    });
    let outcome = scenario.await.unwrap_or(Err(Error::Interrupted));
    drop(stopping);
    let ended = service.await.unwrap_or(Err(Error::ServiceEnded));
    match outcome {
        Err(Error::ServiceEnded) => ended.and(Err(Error::ServiceEnded)),
        outcome => outcome.and(ended),
    }
}

/// Sends the requests step by step. After each step it waits until all expected webhooks have arrived.
async fn run_scenario(
    address: SocketAddr,
    transcript: &mut Transcript,
    arrivals: &mut mpsc::Receiver<ReceivedWebhook>,
    print: &mut impl FnMut(&str),
) -> Result<(), Error> {
    let caller = DemoCaller::new(address)?;
    let mut expected = 0;
    for ScenarioStep { title, requests, webhooks } in scenario::steps() {
        print(&transcript.title(title));
        for request in requests {
            let response = caller.send(&request).await?;
            print(&transcript.request_line(&request, &response));
        }
        expected += webhooks;
        while transcript.webhook_count() < expected {
            let deadline = tokio::time::Instant::now() + DEMO_TIMEOUT;
            let (arrived, patience) = (transcript.webhook_count(), DEMO_TIMEOUT);
            match timeout_at(deadline, arrivals.recv()).await {
                Ok(Some(webhook)) => print(&transcript.record_webhook(&webhook)),
                Ok(None) | Err(_) => return Err(Error::WebhooksMissing { arrived, expected, patience }),
            }
        }
    }
    Ok(())
}

fn demo_settings(data: &Path, receiver: SocketAddr) -> Settings {
    let mut settings = Settings { data_dir: data.to_owned(), ..Settings::default() };
    settings.http.listen = "127.0.0.1:0".to_owned();
    settings.webhooks.base_url = Some(format!("http://{receiver}"));
    settings.simulator.delay = DEMO_DELAY;
    settings.actors.coming_timeout = DEMO_COMING_TIMEOUT;
    settings
}

/// Starts the service on its own thread. The first receiver gets the service's result, the second its address.
fn start_service(
    settings: Settings,
    stop: CancellationToken,
) -> (oneshot::Receiver<Result<(), Error>>, oneshot::Receiver<SocketAddr>) {
    // The demonstration does not display the settings of this service.
    let effective = EffectiveSettings { settings, ..EffectiveSettings::default() };
    let (ended, on_end) = oneshot::channel();
    let (ready, on_ready) = oneshot::channel();
    thread::spawn(move || {
        let send_address = |address| {
            let _gone = ready.send(address);
        };
        let _gone = ended.send(service::run(&effective, send_address, &Arc::default(), &stop).map_err(Error::from));
    });
    (on_end, on_ready)
}
