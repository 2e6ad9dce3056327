//! Every command in every state: the state table of the contract.

use super::*;

/// The states, each with a short history that leads to it.
const STATES: [(&str, &str); 14] = [
    ("unknown", ""),
    ("imported", "account imported a"),
    ("online-coming", "account imported a, online requested"),
    ("online", "account imported a, online requested, came online"),
    ("offline-coming", "account imported a, online requested, came online, recycle requested"),
    ("offline", "account imported a, online requested, went offline: 1002"),
    ("banned", "account imported a, online requested, came online, banned: spam"),
    ("erased", "account imported a, online requested, went offline: 1002, secrets erased: asked to"),
    ("waiting, no content", "registration requested #7"),
    ("waiting, code sent", "account imported a, registration requested #7, code sent"),
    ("waiting, code submitted", "account imported a, registration requested #7, code sent, code submitted"),
    ("waiting, online", "account imported a, online requested, came online, registration requested #7, code submitted"),
    ("waiting, banned", "account imported a, banned: spam, registration requested #7, code sent, code submitted"),
    ("registered, no content", "registration requested #7, code sent, code submitted, registered"),
];

/// Every command, with and without each option that matters.
const COMMANDS: [&str; 28] = [
    "import a",
    "import b",
    "bring online",
    "bring online a",
    "bring online b",
    "bring online b, override",
    "recycle",
    "register #8",
    "submit code",
    "report connected",
    "report connected 1",
    "report disconnected: 1001",
    "report disconnected 9: 1001",
    "report banned: spam",
    "report ban lifted",
    "report code sent #7",
    "report registration failed #7: refused",
    "report code accepted #7",
    "report code accepted #6",
    "report code refused #7 1: wrong",
    "give up coming since version 2",
    "give up registration #7",
    "reconnect since version 2",
    "reconnect since version 3",
    "erase: asked to",
    "change labels: team=care",
    "resync sync",
    "resync register",
];

#[test]
fn every_command_in_every_state() {
    let mut text =
        "status,onlineStatus: 1 normal, 2 banned; 1 online-coming, 2 online, 3 offline-coming, 4 offline\n".to_owned();
    for (name, history) in STATES {
        text.push_str(&format!("{name:>26} = {}\n", format_state(&account_after(history))));
    }
    let (now, choice, offers) = (Timestamp(0), GatewayChoice::default(), offers());
    let context = DecisionContext { now, choice, offers: &offers, lost_numbers: 0 };
    for words in COMMANDS {
        text.push_str(&format!("\n{words}\n"));
        for (name, history) in STATES {
            text.push_str(&format!("{name:>26} | {}\n", format_outcome(&account_after(history), words, context)));
        }
    }
    golden("domain_state_table", &text);
}
