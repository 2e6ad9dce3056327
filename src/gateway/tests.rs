//! The fates of the simulator, from what is asked to what is reported.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Simulator;
use crate::actors::{GatewayPort, report_channel};
use crate::config;
use crate::domain::{Account, AccountNumber, Command, PendingEffect, SealedBytes, TaskId, VerifyType};
use crate::testkit::fixture::StorageFixture;
use crate::vault::Vault;

/// Asks the simulator for everything about one account of each fate; the reports are as in the golden file.
#[tokio::test(start_paused = true)]
async fn fates() {
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
        let (connect, again) = (PendingEffect::Connect { session: 1 }, PendingEffect::Connect { session: 2 });
        let disconnect = PendingEffect::Disconnect { session: 1 };
        for (name, asked) in [
            ("connect", connect),
            ("connect again", again),
            ("disconnect", disconnect),
            ("request a code", request),
            ("submit 123456", right),
            ("submit 654321", wrong),
            ("submit what does not open", foreign),
        ] {
            text += &format!("…{last_four:04} {name}\n{}", reported(vault, account, Some(asked)).await);
        }
        text += &format!("…{last_four:04} restart while online\n{}", reported(vault, account, None).await);
    }
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("simulator_fates", text);
    });
}

/// What a simulator reports when it is asked one thing, or started with the account online, and is left alone then.
async fn reported(vault: &Vault, account: AccountNumber, asked: Option<PendingEffect>) -> String {
    let (reports, mut reported) = report_channel();
    let settings = config::SimulatorSettings { delay: Duration::from_millis(50) };
    let online = asked.is_none().then_some(account);
    let (simulator, channel) = Simulator::new(&settings, vault.clone(), reports, online, |_| 1);
    let begin = Instant::now();
    asked.into_iter().for_each(|asked| simulator.dispatch(account, &Account::initial(), &asked, Duration::MAX));
    tokio::spawn(channel.run(CancellationToken::new()));
    let mut text = String::new();
    // The clock is paused, so this second passes at once when nothing is left to happen.
    while let Ok(Some((_, Command::Report(report)))) = timeout(Duration::from_secs(1), reported.next()).await {
        text += &format!("    after {} ms: {report:?}\n", begin.elapsed().as_millis());
    }
    text
}

/// What a fate still holds for a session does not happen once the session is to be closed.
#[tokio::test(start_paused = true)]
async fn a_closed_session_has_no_fate() {
    let fixture = StorageFixture::new();
    let (reports, mut reported) = report_channel();
    let (simulator, channel) = Simulator::new(&fixture.settings.simulator, fixture.vault.clone(), reports, [], |_| 1);
    tokio::spawn(channel.run(CancellationToken::new()));
    let account: AccountNumber = "86182170003".parse().unwrap();
    simulator.dispatch(account, &Account::initial(), &PendingEffect::Connect { session: 1 }, Duration::MAX);
    simulator.dispatch(account, &Account::initial(), &PendingEffect::Disconnect { session: 1 }, Duration::MAX);
    simulator.dispatch(account, &Account::initial(), &PendingEffect::Connect { session: 2 }, Duration::MAX);
    let mut told = Vec::new();
    while let Ok(Some((_, Command::Report(report)))) = timeout(Duration::from_secs(10), reported.next()).await {
        told.push(format!("{report:?}").split(' ').next().unwrap().to_owned());
    }
    assert_eq!(told, ["Connected", "Disconnected", "Connected", "Banned"], "the ban is that of session 2");
}
