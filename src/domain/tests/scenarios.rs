//! Scenarios: the outcome of a command after given events. The golden file has the outcomes.

use std::time::Duration;

use super::*;

/// One scenario per paragraph: a title, the events so far (`given`), and commands (`when`). Each command is applied to
/// the state after `given`.
const SCENARIOS: &str = "
An import of the same content again is a success and no event
given account imported a
when import a

An import of other content is refused
given account imported a
when import b

Labels follow the import that brings them, and precede the session
given
when import a with labels: team=care
when bring online a with labels: team=care

Other labels are no conflict, and equal labels are no event
given account imported a, labels changed: team=care
when import a with labels: team=sales
when bring online a with labels: team=sales
when bring online a
when import a with labels: team=care
when change labels: team=care
when change labels: tier=gold team=care
when change labels

A rejected command changes no labels
given account imported a, labels changed: team=care, banned: spam
when import b with labels: team=sales
when bring online a with labels: team=sales

An account keeps its labels through a ban, an erasure and the next import
given account imported a, labels changed: team=care, banned: spam, ban lifted, secrets erased: asked to
when import a

Nothing can be labelled before its first import or registration
given
when change labels: team=care

A number that was only registered takes its first content
given registration requested #7, registered
when import a

An unknown number is imported and asked online at once
given
when bring online a

What is stored stays, unless the caller asks to override it
given account imported a
when bring online b
when bring online b, override
when bring online a, override

New content for an account that is online leaves its session alone
given account imported a, online requested, came online
when bring online b, override
when bring online b

An account on its way offline can be asked back, as a new session
given account imported a, online requested, came online, recycle requested
when bring online a

A late report of the recycled session changes nothing in the new one
given account imported a, online requested, came online, recycle requested, online requested
when report disconnected 1
when report connected 1
when report connected 2
when report disconnected 2: 1001
when report disconnected: 1002

A late came-online after a recycle changes nothing
given account imported a, online requested, recycle requested
when report connected 1
when report disconnected 1

A ban holds against online requests, and ends by a report or by registering again
given account imported a, online requested, came online, banned: spam
when bring online a
when bring online b, override
when recycle
when report banned: again
when report ban lifted
when register #7
when report disconnected: late

Registering again is the way back from a ban
given account imported a, banned: spam, registration requested #7, code sent, code submitted
when report code accepted #7
when report registration failed #7: no

A registration of an account that is online leaves it there until it succeeds
given account imported a, online requested, came online, registration requested #7, code sent, code submitted
when report code refused #7 1: wrong
when report code accepted #7

A second request supersedes the first, whose reports come too late
given registration requested #7, code sent, code submitted, registration requested #8
when report code accepted #7
when report code refused #7 1: wrong
when report registration failed #7: no
when give up registration #7
when report code sent #8
when submit code

A code is asked for once, and judged once
given registration requested #7, code sent, code submitted, code refused 1: wrong
when report code sent #7
when report code refused #7 1: wrong
when report code refused #7 2: wrong
when submit code

Two codes in flight are judged each for itself
given registration requested #7, code sent, code submitted, code submitted
when report code refused #7 1: wrong
when report code refused #7 2: wrong
when report code refused #7 3: wrong
when report code accepted #7

The fifth refused code ends the registration
given registration requested #7, code submitted, code refused 1, code submitted, code refused 2, code submitted, \
code refused 3, code submitted, code refused 4, code submitted
when submit code
when report code refused #7 5: wrong
when report code refused #7 4: wrong

Its deadline ends a registration, and no wall clock does
given registration requested #7, code sent
at 31536000 when submit code
at 31536000 when report code accepted #7
when give up registration #8
when give up registration #7

The watchdog ends the state that it was set for, and no later one
given account imported a, online requested
when give up coming since version 2
when give up coming since version 1

The watchdog of a session that was recycled and asked back is late
given account imported a, online requested, recycle requested, online requested
when give up coming since version 2
when give up coming since version 4

New content does not move the watchdog
given account imported a, online requested, content replaced b
when give up coming since version 2
when give up coming since version 3

Nothing can be reported of an unknown number
given
when report banned: spam
when report ban lifted
when report connected
when report disconnected: 1002
when submit code
when recycle

Whoever asks again what was done already does nothing twice
given registration requested #7, code submitted
when register #7
when register #8
when submit the same code
when submit code

A dropped account comes back where operators want that, for each drop once
given account imported a, online requested, came online, went offline: 1002
when reconnect since version 4
when reconnect since version 3

Recycling a dropped account keeps it from coming back
given account imported a, online requested, came online, went offline: 1002
when recycle
when recycle for good

Once recycled it does not come back
given account imported a, online requested, came online, went offline: 1002, recycle requested, went offline
when reconnect since version 4
when reconnect since version 6
when recycle for good

An account moves to another gateway at its next start, never in the middle of a session
given account imported a
by bridge when bring online
when bring online

An account that is online stays where it is
given account imported a, online requested, came online
by bridge when bring online b, override

An account on its way offline stays where it is
given account imported a, gateway assigned: bridge, online requested, came online, recycle requested
when bring online

A number that is unknown is registered by the gateway that the settings choose
given
by bridge when register #7
by bridge when bring online a

The Cloud API serves business accounts only
given account imported a
by cloud_api when bring online
by cloud_api when bring online b, override
by cloud_api when register #7

The Cloud API sends codes by sms and voice only
given
by cloud_api when register #7 by missed call
by bridge when register #7 by missed call

A dropped account comes back where it was
given account imported a, gateway assigned: bridge, online requested, came online, went offline: 1002
when reconnect since version 5

A code is asked of a provider once for each registration
given registration requested #7
when call provider: request_code

A code that was asked for is not asked for again, until the number is registered anew
given registration requested #7, provider called: request_code
when call provider: request_code
when register #8

A provider takes ten registrations of one number in 72 hours
given account imported a, provider called: register, provider called: register, provider called: register, provider called: register, provider called: register, provider called: register, provider called: register, provider called: register, provider called: deregister, provider called: deregister
at 10 when call provider: register
at 10 when call provider: deregister
at 259199 when call provider: register
at 259200 when call provider: register

An account keeps its first PIN until its secrets are erased
given account imported a, pin kept
when keep pin

What was found is of no use once something has happened since
given account imported a, online requested, came online
when reconcile as of version 3
when reconcile as of version 2

After a restore, the next session has a number that no lost session had
given account imported a, online requested, went offline: 1002
lost 40 when bring online
lost 40 when bring online b, override
lost 40 when reconnect since version 3
lost 1 when bring online

Sessions continue after the numbers that were left out
given account imported a, session numbers advanced 40, online requested, came online
lost 40 when bring online
lost 40 when recycle
when report disconnected 41: 1002

After pairing failed a person has to scan again
given account imported a, online requested, went offline: 1001
when reconnect since version 3
";

#[test]
fn scenarios() {
    golden("domain_scenarios", &SCENARIOS.trim().split("\n\n").map(check).collect::<Vec<_>>().join("\n\n"));
}

/// The scenario with its outcomes.
fn check(scenario: &str) -> String {
    let (title, rest) = scenario.split_once('\n').unwrap();
    let (given, steps) = rest.split_once('\n').unwrap();
    let (state, offers) = (account_after(given.strip_prefix("given").unwrap()), offers());
    let mut text = format!("# {title}\n{given}\n");
    for line in steps.lines() {
        let (before, words) = line.split_once("when ").unwrap();
        let words_before: Vec<&str> = before.split_whitespace().collect();
        let after = |word| words_before.iter().skip_while(|it| **it != word).nth(1);
        let seconds = after("at").map_or(0, |seconds| seconds.parse().unwrap());
        let gateway = after("by").map_or(GatewayKind::Simulator, |name| GatewayKind::from_name(name).unwrap());
        let choice = GatewayChoice { personal: gateway, business: gateway };
        let lost_numbers = after("lost").map_or(0, |lost| lost.parse().unwrap());
        let now = Timestamp(0).plus(Duration::from_secs(seconds));
        let context = DecisionContext { now, choice, offers: &offers, lost_numbers };
        let then = format_outcome(&state, words, context);
        text.push_str(&format!("{line}\n    then {then}\n"));
    }
    text.trim_end().to_owned()
}
