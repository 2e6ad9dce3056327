//! The load: callers that send one command after the other, and log when each was answered.

use std::collections::BTreeMap;
use std::sync::Mutex;

use muster::domain::{AccountNumber, AccountType, ContentField, ContentTexts};
use muster::journal::RequestId;
use muster::vault::PlaintextContent;
use serde_json::{Value, json};

use super::trace::TraceRecorder;
use crate::service_process::ServiceProcess;
use crate::testkit::requests;

/// The most accounts of one import.
const BATCH: u64 = 12;

/// An answered command, which must have left an event in each of its accounts.
#[derive(Clone, Debug)]
pub struct AnsweredCommand {
    /// The length of the trace when the response arrived.
    pub length: u64,
    pub request: RequestId,
    pub accounts: Vec<AccountNumber>,
}

/// One caller, with accounts of its own.
pub struct LoadCaller {
    random: fastrand::Rng,
    /// The next new account.
    next: u64,
    /// Whether the last request of each account asked for online; `None` if unknown.
    online: BTreeMap<AccountNumber, Option<bool>>,
}

impl LoadCaller {
    pub fn new(index: u64, seed: u64) -> LoadCaller {
        // The simulator does not change these by itself: numbers that it changes end in 0001 to 0006.
        let next = 861_820_001_000 + index * 1_000_000;
        LoadCaller { random: fastrand::Rng::with_seed(seed), next, online: BTreeMap::new() }
    }

    /// Sends this many commands, or fewer if the service ends.
    pub async fn call(
        &mut self,
        muster: &ServiceProcess,
        recorder: &TraceRecorder,
        answered: &Mutex<Vec<AnsweredCommand>>,
        commands: u64,
    ) {
        for _ in 0..commands {
            let request = RequestId(self.random.u128(1..));
            let (path, body, accounts) = self.draw();
            let path = format!("/group-dispatch-api/{path}");
            let answer = muster.try_post(&path, body.to_string(), &request.to_string()).await;
            let length = recorder.length();
            let Ok(answer) = answer else {
                self.forget();
                return;
            };
            assert_eq!(answer.status, 200, "{}", answer.text);
            answered.lock().unwrap().push(AnsweredCommand { length, request, accounts });
        }
    }

    /// Marks the status of all accounts as unknown.
    pub fn forget(&mut self) {
        self.online.values_mut().for_each(|online| *online = None);
    }

    /// A random command: path, body, and the accounts in which it must leave an event.
    fn draw(&mut self) -> (&'static str, Value, Vec<AccountNumber>) {
        let known = self.online.len();
        match self.random.u8(0..8) {
            0..2 => self.import(),
            2 => {
                let account = self.new_account();
                ("register/submitPhone", requests::phone(account), vec![account])
            }
            _ if known == 0 => self.import(),
            _ => {
                let (account, online) = self.online.iter_mut().nth(self.random.usize(..known)).unwrap();
                let (account, before) = (*account, online.replace(*online != Some(true)));
                let accounts = if before.is_some() { vec![account] } else { Vec::new() };
                if before == Some(true) {
                    ("whatsapp/batchRecycle", json!({"whatsAppList": [account.to_string()]}), accounts)
                } else {
                    let mut entry = SampleContent::of(account).json(account);
                    entry["override"] = json!(false);
                    ("whatsapp/batchOnline", json!({"whatsAppList": [entry]}), accounts)
                }
            }
        }
    }

    fn import(&mut self) -> (&'static str, Value, Vec<AccountNumber>) {
        let accounts: Vec<AccountNumber> = (0..self.random.u64(1..=BATCH)).map(|_| self.new_account()).collect();
        let entries: Vec<Value> = accounts.iter().map(|account| SampleContent::of(*account).json(*account)).collect();
        self.online.extend(accounts.iter().map(|account| (*account, Some(false))));
        ("whatsapp/batchInsert", json!({"whatsAppList": entries}), accounts)
    }

    fn new_account(&mut self) -> AccountNumber {
        self.next += 1;
        AccountNumber::from_stored(self.next).unwrap()
    }
}

/// The content that an account is imported with; the same for the same number.
pub struct SampleContent {
    public_key: String,
    private_key: String,
    device_params: String,
}

impl SampleContent {
    pub fn of(account: AccountNumber) -> SampleContent {
        let mut random = fastrand::Rng::with_seed(account.get());
        // Most are as small as real ones; a few have the largest accepted size.
        let most = if random.u8(0..6) == 0 { 16 * 1024 } else { 1024 };
        let number = account.to_string();
        let mut text = |what: &str| [what, &number].concat().repeat(random.usize(1..most / 32));
        SampleContent { public_key: text("public"), private_key: text("private"), device_params: text("device") }
    }

    fn json(&self, account: AccountNumber) -> Value {
        let fields = json!({"publicKey": self.public_key, "privateKey": self.private_key,
            "deviceParams": self.device_params});
        requests::account_with(account, &fields)
    }

    /// As the vault takes it.
    pub fn clear(&self) -> PlaintextContent<'_> {
        PlaintextContent {
            account_type: AccountType::Personal,
            texts: ContentTexts::from([
                (ContentField::PublicKey, &*self.public_key),
                (ContentField::PrivateKey, &*self.private_key),
                (ContentField::MsgPublicKey, ""),
                (ContentField::MsgPrivateKey, ""),
                (ContentField::AccountId, ""),
                (ContentField::DeviceParams, &*self.device_params),
            ]),
        }
    }
}
