//! The product, shown: the real service, a caller's requests and a receiver of webhooks, on one terminal.
//!
//! | file | what it knows |
//! |---|---|
//! | `scenario` | which accounts there are, what is asked of them, and what is to be told of each. Pure |
//! | `caller` | a caller's back-end: sends the requests |
//! | `transcript` | what was asked and told, in words, and the summary. Pure |

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

/// Why the demonstration did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no place for it.
    #[error("cannot make a temporary directory or threads for the demonstration: {0}")]
    Io(#[from] io::Error),
    /// The service does not run, or failed.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// The service ended before its time.
    #[error("the service of the demonstration ended early")]
    ServiceEnded,
    /// The caller's client cannot be made.
    #[error("the client of the demonstration cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// It was told to stop.
    #[error("the demonstration was interrupted")]
    Interrupted,
    /// A request was not answered.
    #[error("the service did not answer {endpoint}: {why}")]
    RequestFailed {
        /// Which endpoint was asked.
        endpoint: &'static str,
        /// What went wrong.
        why: String,
    },
    /// Webhooks did not arrive.
    #[error("only {arrived} of {expected} webhooks arrived within {} s", .patience.as_secs())]
    WebhooksMissing {
        /// How many did.
        arrived: usize,
        /// How many should have.
        expected: usize,
        /// How long was waited for the next one.
        patience: Duration,
    },
    /// What was told is not what happened.
    #[error("{account} was told {told:?}, not {expected:?}")]
    WebhooksDiffer {
        /// Of whom.
        account: String,
        /// What arrived, in order.
        told: Vec<String>,
        /// What should have.
        expected: Vec<String>,
    },
    /// The journal cannot be opened after the service.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The journal is not whole after the service.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

/// Plays the demonstration, and prints each line as it happens; `is_colourful` if a person looks at it. Ends early, as
/// [`Error::Interrupted`], when `stop` is cancelled. Leaves nothing behind.
pub fn run(is_colourful: bool, mut print: impl FnMut(&str), stop: &CancellationToken) -> Result<(), Error> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().thread_name("demo").build()?;
    let directory = TempDir::with_prefix("muster-demo-")?;
    let data = directory.path().join("data");
    let mut timeline = Transcript::new(clock::now(), is_colourful);
    print(transcript::OPENING);
    runtime.block_on(run_service_and_scenario(&data, &mut timeline, &mut print, stop))?;
    // As an operator would after a stop: the service has let go of the directory.
    let journal = Journal::open(Store::open(&data, &Settings::default().store)?, Box::new(|_| {}))?;
    print(&timeline.summary(&journal.verify()?));
    timeline.check()
}

/// Serves, asks, listens; stops the service at the end, however it comes.
async fn run_service_and_scenario(
    data: &Path,
    timeline: &mut Transcript,
    print: &mut impl FnMut(&str),
    stop: &CancellationToken,
) -> Result<(), Error> {
    let end = CancellationToken::new();
    let _at_the_end = end.clone().drop_guard();
    let (receiver, mut told) = receiver::start("127.0.0.1:0", ReceiverOptions::default(), end.clone()).await?;

    let stopping = CancellationToken::new();
    let (service, address) = start_service(demo_settings(data, receiver), stopping.clone());
    let stopping = stopping.drop_guard();
    let played = stop.run_until_cancelled(async {
        match address.await {
            Ok(address) => run_scenario(address, timeline, &mut told, print).await,
            // Its own error says more.
            Err(_) => Err(Error::ServiceEnded),
        }
    });
    let outcome = played.await.unwrap_or(Err(Error::Interrupted));
    drop(stopping);
    let ended = service.await.unwrap_or(Err(Error::ServiceEnded));
    match outcome {
        Err(Error::ServiceEnded) => ended.and(Err(Error::ServiceEnded)),
        outcome => outcome.and(ended),
    }
}

/// Asks what the story has, chapter by chapter, and waits each time until all of it was told.
async fn run_scenario(
    address: SocketAddr,
    timeline: &mut Transcript,
    told: &mut mpsc::Receiver<ReceivedWebhook>,
    print: &mut impl FnMut(&str),
) -> Result<(), Error> {
    let caller = DemoCaller::new(address)?;
    let mut expected = 0;
    for ScenarioStep { title, requests, webhooks } in scenario::steps() {
        print(&timeline.title(title));
        for request in requests {
            let answer = caller.send(&request).await?;
            print(&timeline.request_line(&request, &answer));
        }
        expected += webhooks;
        while timeline.webhook_count() < expected {
            let deadline = tokio::time::Instant::now() + DEMO_TIMEOUT;
            let (arrived, patience) = (timeline.webhook_count(), DEMO_TIMEOUT);
            match timeout_at(deadline, told.recv()).await {
                Ok(Some(told)) => print(&timeline.record_webhook(&told)),
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

/// The service on a thread of its own: how it ends, and where it answers.
fn start_service(
    settings: Settings,
    stop: CancellationToken,
) -> (oneshot::Receiver<Result<(), Error>>, oneshot::Receiver<SocketAddr>) {
    // Nobody asks this service for its settings.
    let effective = EffectiveSettings { settings, ..EffectiveSettings::default() };
    let (ended, on_end) = oneshot::channel();
    let (ready, on_ready) = oneshot::channel();
    thread::spawn(move || {
        let say_ready = |address| {
            let _gone = ready.send(address);
        };
        let _gone = ended.send(service::run(&effective, say_ready, &Arc::default(), &stop).map_err(Error::from));
    });
    (on_end, on_ready)
}
