//! A proxy between the service and its receiver that fails as networks do.

use std::time::Duration;

use crate::calls::online;
use crate::service_process::{ReceivedDelivery, ServiceProcess, WebhookReceiver, temp_directory};
use crate::testkit::proxy::{Proxy, ProxyFault};

const ACCOUNT: &str = "861821726232";

/// The receiver accepts a delivery, and the response is lost: it is sent again under the same id. Cut and slow
/// connections lose nothing either.
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
    // The attempt does not last until its deadline: its connection is cut, and the next one is slow.
    proxy.set_fault(ProxyFault::Delay(Duration::from_millis(50)));
    proxy.reset_connections();
    let is_told =
        |all: &[ReceivedDelivery]| crate::service_process::accepted_payloads(all, ACCOUNT) == ["1/1 ", "1/2 "];
    receiver.wait_until("both", is_told).await;
    let deliveries = receiver.deliveries();
    assert_eq!(
        (deliveries[0].id == deliveries[1].id, &deliveries[0].body),
        (true, &deliveries[1].body),
        "{deliveries:#?}"
    );
}
