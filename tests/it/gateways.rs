//! Gateways that are unreachable: the service accepts requests all the same, and reports the fault.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::calls::online;
use crate::service_process::{ServiceProcess, run_muster, temp_directory};

/// The settings of an unreachable bridge gateway that serves all accounts.
fn settings(url: &str) -> [(&str, &str); 3] {
    [
        ("MUSTER_GATEWAY__DEFAULT", "bridge"),
        ("MUSTER_GATEWAY__BRIDGE__URL", url),
        ("MUSTER_GATEWAY__BRIDGE__SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"),
    ]
}

fn of<'g>(gateways: &'g Value, name: &str) -> &'g Value {
    gateways["gateways"].as_array().unwrap().iter().find(|gateway| gateway["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_away_is_no_reason_to_be_unready() {
    let data = temp_directory();
    // A port that was free a moment ago: connections are refused.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    let muster = ServiceProcess::start(data.path(), &settings(&url));
    assert_eq!(muster.get("/readyz").await.status, 200);

    let shown = muster.get("/api/v1/gateways").await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    let gateways = shown.json();
    let names: Vec<&str> =
        gateways["gateways"].as_array().unwrap().iter().map(|gateway| gateway["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["simulator", "bridge", "cloud_api"]);
    let (simulator, bridge, cloud_api) =
        (of(&gateways, "simulator"), of(&gateways, "bridge"), of(&gateways, "cloud_api"));
    assert_eq!((&simulator["state"], &simulator["isDefault"]), (&json!("up"), &json!(false)));
    assert_eq!((&bridge["isDefault"], &bridge["accounts"]["total"]), (&json!(true), &json!(0)));
    assert_eq!((&cloud_api["state"], &cloud_api["calls"]), (&json!("not_set_up"), &Value::Null));
    assert!(!shown.text.contains("MDEyMzQ1"), "no secret is shown: {}", shown.text);

    // Accounts are imported while it is away, and counted as its own.
    online(&muster, "861821726232").await;
    let gateways = muster.get("/api/v1/gateways").await.json();
    assert_eq!(of(&gateways, "bridge")["accounts"]["total"], json!(1), "{gateways}");
    assert_eq!(of(&gateways, "simulator")["accounts"]["total"], json!(0), "{gateways}");
    let metrics = muster.get("/metrics").await.text;
    for line in [r#"muster_gateway_up{gateway="simulator"} 1"#, r#"muster_gateway_up{gateway="cloud_api"} 0"#] {
        assert!(metrics.lines().any(|it| it == line), "{line} in {metrics}");
    }
    assert_eq!(muster.get("/readyz").await.status, 200);
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}

/// A reconciliation of a gateway without sessions is rejected, and the audit log has no record of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_gateway_that_is_set_up_is_compared() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let server = muster.url("");
    let reconcile = |name: &str, reason: &str| {
        let (code, _, said) =
            run_muster(&["gateways", "reconcile", name, "--reason", reason, "--server", &server], &[]);
        (code, said.trim().to_owned())
    };
    let (code, said) = reconcile("simulator", "it was restored");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the simulator has no sessions to compare"), "{said}");
    let (code, said) = reconcile("bridge", "it was restored");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not set up"), "{said}");
    let (code, said) = reconcile("meta", "it was restored");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("simulator, bridge, cloud_api"), "{said}");
    let (code, said) = reconcile("bridge", " ");
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(muster.get("/api/v1/acts").await.json()["acts"], json!([]));

    let (code, shown, said) = run_muster(&["gateways", "--server", &server], &[]);
    assert_eq!(code, Some(0), "{said}");
    for part in ["simulator", "It is built in and always available.", "cloud_api", "It is not set up"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let page = muster.get("/gateways").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("It is built in and always available."), "{}", page.text);
}
