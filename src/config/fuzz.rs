//! Fuzzing of the parsers of settings, with arbitrary bytes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use url::Url;

use super::text_parsing::format_duration;
use super::{SettingsFile, is_listen_address, load, parse_duration, parse_receiver_url};
use crate::client::{AddressGuard, NOT_A_URL, Network, redact_url};
use crate::domain::escape_controls;

/// Part of every secret in the seeds.
const SECRET: &str = "c4n4ry";

/// Seeds: a settings file, a line of three dashes, then one variable per line.
pub(crate) fn settings_seeds() -> Vec<Vec<u8>> {
    [
        "data_dir = \"/from/file\"\n[http]\nlisten = \"127.0.0.1:1\"\nmax_batch = 1_000\n[webhooks]\nretry_waits = [\"10s\", \"1h 30m\"]\n---\nMUSTER_HTTP__LISTEN=localhost:2",
        "vault.master_key_command = [\"/usr/bin/key\", \"--name\", \"it\"]\nlog = { filter = \"muster=debug,warn\", format = \"json\" }\nstore.cache_bytes = 1048576\n",
        "webhooks.base_url = \"https://user:c4n4ry@example.com/hooks\"\nwebhooks.allow_networks = [\"10.0.0.0/8\", \"fd00::/8\"]\n",
        "webhooks.base_url = \"http://127.0.0.1:9/@c4n4ry.example/hooks\"\n---\nMUSTER_WEBHOOKS__CHANNEL_SYNC_STATUS__URL=https://example.com/a?me=me@corp.example&sig=c4n4ry",
        "[http]\nalways_200 = true\n---\nMUSTER_WEBHOOKS__CHANNEL_SYNC_STATUS__URL=https://u:c4n4ry@example.com/a?b=c4n4ry\nMUSTER_LOG__FORMAT=json",
        "---\nMUSTER_VAULT__MASTER_KEY=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\nMUSTER_ACTORS__COMING_TIMEOUT=200ms\nMUSTER_WEBHOOKS__ALLOW_NETWORKS=10.0.0.0/8",
        "---\nMUSTER_VAULT__MASTER_KEY=c4n4ry\nMUSTER_SIMULATOR__DELAY_MS=5",
    ]
    .map(Vec::from)
    .into()
}

/// Loads settings. An accepted value must be accepted again in its displayed form.
pub(crate) fn check_settings(bytes: &[u8]) -> Option<String> {
    let end = bytes.windows(4).position(|window| window == b"---\n").unwrap_or(bytes.len());
    let file = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let lines = bytes.get(end + 4..).unwrap_or_default().split(|byte| *byte == b'\n');
    let variable = |line: &[u8]| {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b'=')?);
        Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value[1..].to_vec())))
    };
    let lines: Vec<&[u8]> = lines.collect();
    for line in &lines {
        check_text(&String::from_utf8_lossy(line.split(|byte| *byte == b'=').next_back().unwrap_or_default()));
    }
    file.split('"').for_each(check_text);
    let file = SettingsFile { path: "muster.toml".into(), text: file };
    match load(Some(&file), lines.into_iter().filter_map(variable), &[]) {
        Ok(effective) => {
            let rows = effective.rows.iter().filter(|row| !row.value.is_null() && row.name != "vault.master_key");
            let text: String =
                rows.map(|row| format!("{} = {}\n", row.name, escape_controls(&row.value.to_string()))).collect();
            // Redacted secrets and shortened paths are not accepted again.
            if !text.contains("***") && !text.contains('…') {
                let again = load(Some(&SettingsFile { path: "again.toml".into(), text: text.clone() }), [], &[]);
                let again = again.unwrap_or_else(|error| panic!("{text}\n{error}"));
                let differs = effective
                    .rows
                    .iter()
                    .zip(&again.rows)
                    .find(|(first, second)| first.value != second.value && first.name != "vault.master_key");
                assert!(differs.is_none(), "{differs:?}");
            }
            None
        }
        Err(error) => Some(error.to_string().replace('\n', "; ")),
    }
}

/// Checks the parsers of single texts: durations, addresses, URLs and networks.
fn check_text(text: &str) {
    if let Some(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&format_duration(duration)), Some(duration), "{text:?}");
    }
    let _is = is_listen_address(text);
    if let Some(url) = parse_receiver_url(text) {
        assert_eq!(parse_receiver_url(url.as_str()).as_ref(), Some(&url), "{text:?}");
        let strict = AddressGuard::new([]).check_url(&url).is_ok();
        assert!(!strict || AddressGuard::allow_private().check_url(&url).is_ok());
    }
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network));
    }
    check_redacted_url(text);
}

/// A redacted URL must name the server that the parser reads, because requests go there. It must show no secret part.
fn check_redacted_url(text: &str) {
    let redacted = redact_url(text);
    if redacted == NOT_A_URL {
        return assert_eq!(parse_receiver_url(text), None, "{text:?}");
    }
    let (shown, parsed) = (redacted.parse::<Url>().unwrap(), text.parse::<Url>().unwrap());
    let origin = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
    assert_eq!(origin(&shown), origin(&parsed), "{text:?} is shown as {redacted}");
    assert!(!redacted.contains(['?', '#']) && !redacted.contains(char::is_whitespace), "{redacted}");
    let segments = redacted.splitn(4, '/').nth(3).unwrap_or_default().split('/');
    for (segment, full) in segments.zip(parsed.path().split('/').skip(1)) {
        let is_cut = segment.strip_suffix('…').is_some_and(|start| start.len() <= 4 && full.starts_with(start));
        assert!(is_cut || (segment == full && full.len() <= 24 && !full.contains('@')), "{redacted}");
    }
    let has_secret = |text: &str| text.contains(SECRET);
    let is_in_shown_part = has_secret(parsed.scheme())
        || parsed.host_str().is_some_and(has_secret)
        || parsed.path().split('/').any(|segment| has_secret(segment) && segment.len() <= 24);
    assert!(is_in_shown_part || !redacted.contains(SECRET), "{redacted}");
}
