//! The outcomes of the simulator: pending effects in, reports out.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{GatewayProvider, Simulator};
use crate::actors::report_channel;
use crate::config;
use crate::domain::{Account, AccountNumber, Command, PendingEffect, SealedBytes, TaskId, VerifyType};
use crate::testkit::fixture::StorageFixture;
use crate::vault::Vault;

/// Dispatches every effect for one account of each outcome. The reports match the golden file.
#[tokio::test(start_paused = true)]
async fn outcomes() {
    let StorageFixture { vault, .. } = &StorageFixture::new();
    let task = TaskId::new(1).unwrap();
    let mut text = String::new();
    for last_four in [1, 2, 3, 4, 5, 6, 1234] {
        let account: AccountNumber = format!("8618217{last_four:04}").parse().unwrap();
        vault.create_data_key(account).unwrap();
        let code = |code| vault.seal_code(account, code).unwrap().unwrap();
        let right = PendingEffect::SubmitCode { task, attempt: 1, code: code("123456") };
        let wrong = PendingEffect::SubmitCode { task, attempt: 2, code: code("654321") };
        let foreign = PendingEffect::SubmitCode { task, attempt: 3, code: SealedBytes(Box::new([0; 64])) };
        let request = PendingEffect::RequestCode { task, verify_type: VerifyType::Sms };
        let (connect, reconnect) = (PendingEffect::Connect { session: 1 }, PendingEffect::Connect { session: 2 });
        let disconnect = PendingEffect::Disconnect { session: 1 };
        for (name, effect) in [
            ("connect", connect),
            ("connect again", reconnect),
            ("disconnect", disconnect),
            ("request a code", request),
            ("submit 123456", right),
            ("submit 654321", wrong),
            ("submit what does not open", foreign),
        ] {
            text += &format!("…{last_four:04} {name}\n{}", reports_after(vault, account, Some(effect)).await);
        }
        text += &format!("…{last_four:04} restart while online\n{}", reports_after(vault, account, None).await);
    }
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("simulator_fates", text);
    });
}

/// The reports of a simulator after one effect, or after a start with the account online.
async fn reports_after(vault: &Vault, account: AccountNumber, effect: Option<PendingEffect>) -> String {
    let (reports, mut reported) = report_channel();
    let settings = config::SimulatorSettings { delay: Duration::from_millis(50) };
    let online = effect.is_none().then_some(account);
    let (simulator, worker) = Simulator::new(&settings, vault.clone(), reports, online, |_| 1);
    let started = Instant::now();
    effect.into_iter().for_each(|effect| simulator.dispatch(account, &Account::initial(), &effect, Duration::MAX));
    tokio::spawn(worker.run(CancellationToken::new()));
    let mut text = String::new();
    // The clock is paused, so this second passes at once when no report is due.
    while let Ok(Some((_, Command::Report(report)))) = timeout(Duration::from_secs(1), reported.next()).await {
        text += &format!("    after {} ms: {report:?}\n", started.elapsed().as_millis());
    }
    text
}

/// The follow-up of a session is dropped once a request closes the session.
#[tokio::test(start_paused = true)]
async fn closing_a_session_drops_its_follow_up() {
    let fixture = StorageFixture::new();
    let (reports, mut reported) = report_channel();
    let (simulator, worker) = Simulator::new(&fixture.settings.simulator, fixture.vault.clone(), reports, [], |_| 1);
    tokio::spawn(worker.run(CancellationToken::new()));
    let account: AccountNumber = "86182170003".parse().unwrap();
    simulator.dispatch(account, &Account::initial(), &PendingEffect::Connect { session: 1 }, Duration::MAX);
    simulator.dispatch(account, &Account::initial(), &PendingEffect::Disconnect { session: 1 }, Duration::MAX);
    simulator.dispatch(account, &Account::initial(), &PendingEffect::Connect { session: 2 }, Duration::MAX);
    let mut kinds = Vec::new();
    while let Ok(Some((_, Command::Report(report)))) = timeout(Duration::from_secs(10), reported.next()).await {
        kinds.push(format!("{report:?}").split(' ').next().unwrap().to_owned());
    }
    assert_eq!(kinds, ["Connected", "Disconnected", "Connected", "Banned"], "the ban is that of session 2");
}
