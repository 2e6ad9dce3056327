//! Between the service and its receiver stands a proxy that fails as networks do.

use std::time::Duration;

use crate::calls::online;
use crate::service_process::{ReceivedDelivery, ServiceProcess, WebhookReceiver, temp_directory};
use crate::testkit::proxy::{Proxy, ProxyFault};

const ACCOUNT: &str = "861821726232";

/// The receiver took it, and the answer is lost: it is sent again under the same id. A connection that is cut, and one
/// that is slow, lose nothing either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_asked_for_again() {
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let target = receiver.base.strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Proxy::start(target).await;
    let base = format!("http://{}", proxy.address);
    let settings = [
        ("MUSTER_WEBHOOKS__BASE_URL", base.as_str()),
        ("MUSTER_WEBHOOKS__RETRY_WAITS", "1s,1s,1s,1s,1s,1s,1s,1s"),
        ("MUSTER_SIMULATOR__DELAY_MS", "1"),
    ];
    let muster = ServiceProcess::start(data.path(), &settings);
    proxy.set_fault(ProxyFault::DropResponses);
    online(&muster, "861821726232").await;
    receiver.wait_until("the first attempt", |all| !all.is_empty()).await;
    // Nobody waits for the deadline of the attempt: its connection is cut, and the next one is slow.
    proxy.set_fault(ProxyFault::Delay(Duration::from_millis(50)));
    proxy.reset_connections();
    let is_told =
        |all: &[ReceivedDelivery]| crate::service_process::accepted_payloads(all, ACCOUNT) == ["1/1 ", "1/2 "];
    receiver.wait_until("both", is_told).await;
    let told = receiver.deliveries();
    assert_eq!((told[0].id == told[1].id, &told[0].body), (true, &told[1].body), "{told:#?}");
}
