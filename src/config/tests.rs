//! Loading settings from the sources, with the results or all errors.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::settings::SETTINGS;
use super::{EffectiveSettings, Error, FlagValue, Settings, SettingsFile, load};
use crate::domain::Channel;

const FLAGS: [(&str, &str); 3] =
    [("--listen", "http.listen"), ("--data-dir", "data_dir"), ("--webhook-base-url", "webhooks.base_url")];

/// Loads the settings of a case: `NAME=value` is a variable, `--flag value` a flag, `| text` a line of the file.
fn load_case(case: &str) -> Result<EffectiveSettings, Error> {
    let (mut text, mut variables, mut flags) = (String::new(), Vec::new(), Vec::new());
    for line in case.lines().map(str::trim_start) {
        if let Some(line) = line.strip_prefix('|') {
            text += line.strip_prefix(' ').unwrap_or(line);
            text.push('\n');
        } else if line.starts_with("--") {
            let (flag, value) = line.split_once(' ').unwrap();
            let (flag, setting) = FLAGS.into_iter().find(|known| known.0 == flag).unwrap();
            flags.push(FlagValue { flag, setting, value: value.to_owned() });
        } else {
            let (name, value) = line.split_once('=').unwrap();
            variables.push((OsString::from(name), OsString::from(value)));
        }
    }
    let file = (!text.is_empty()).then(|| SettingsFile { path: "/etc/muster.toml".into(), text });
    load(file.as_ref(), variables, &flags)
}

/// The case and its result: the values that differ from their defaults, or the errors.
fn describe_case(case: &str) -> String {
    let mut text = case.lines().map(|line| format!("{}\n", line.trim_start())).collect::<String>();
    match load_case(case) {
        Ok(effective) => {
            for row in effective.rows.iter().filter(|row| row.source != "default") {
                writeln!(text, "  => {} = {} from {}", row.name, row.value, row.source).unwrap();
            }
            for variable in &effective.ignored_variables {
                writeln!(text, "  => {variable} is left alone").unwrap();
            }
        }
        Err(error) => error.0.iter().for_each(|fault| writeln!(text, "  => {fault}").unwrap()),
    }
    text
}

fn check(name: &str, cases: &[&str]) {
    let descriptions: Vec<String> = cases.iter().map(|case| describe_case(case)).collect();
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, descriptions.join("\n"));
    });
}

#[test]
fn sources() {
    check(
        "config_sources",
        &[
            // Later sources win, setting by setting.
            r#"| data_dir = "/from/file"
               | [http]
               | listen = "127.0.0.1:1"
               | max_batch = 1_000
               | [webhooks]
               | base_url = "https://file.example.com"
               MUSTER_HTTP__LISTEN=127.0.0.1:2
               MUSTER_DATA_DIR=/from/environment
               --listen 127.0.0.1:3"#,
            // Every kind, in the syntax of the file.
            r#"| http.always_200 = true
               | webhooks.retry_waits = ["10s", "1h 30m", "0s"]
               | webhooks.channel_sync_status.url = "https://example.com/a?b=c"
               | webhooks.channel_register_status.url = "http://[::1]:9/"
               | simulator.delay_ms = 0
               | store.cache_bytes = 1048576
               | actors.coming_timeout = "90s"
               | vault.master_key_file = "/run/secrets/key"
               | log = { filter = "muster=debug,warn", format = "json" }"#,
            // Every kind, in the syntax of the environment.
            "MUSTER_HTTP__ALWAYS_200=true
             MUSTER_WEBHOOKS__RETRY_WAITS=10s,30s,3m,5m,30m,2h
             MUSTER_WEBHOOKS__CHANNEL_SYNC_STATUS__URL=https://example.com/a
             MUSTER_SIMULATOR__DELAY_MS=1
             MUSTER_HTTP__MAX_BATCH=5_000
             MUSTER_ACTORS__COMING_TIMEOUT=200ms
             MUSTER_VAULT__MASTER_KEY_FILE=/run/secrets/key
             MUSTER_LOG__FILTER=trace
             MUSTER_LOG__FORMAT=json",
            // The source of the master key: a command in either form, or the key itself, which is not displayed.
            "| vault.master_key_command = [\"/usr/bin/key\", \"--name\", \"the key\"]",
            "MUSTER_VAULT__MASTER_KEY_COMMAND=/usr/bin/key --name it",
            "MUSTER_VAULT__MASTER_KEY=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            // Addresses.
            "--listen localhost:0",
            "--listen [::]:8080",
            "--listen register.internal:8080",
            // An empty text removes the file's value.
            "| webhooks.base_url = \"https://example.com\"
             MUSTER_WEBHOOKS__BASE_URL=
             MUSTER_WEBHOOKS__RETRY_WAITS=",
            // Receivers at private addresses: all are allowed while the service listens on loopback, otherwise only those
            // in the listed networks.
            "--webhook-base-url http://10.0.0.8/hooks
             MUSTER_WEBHOOKS__CHANNEL_SYNC_STATUS__DELIVER=latest
             MUSTER_WEBHOOKS__AFTER_LAST_TRY=block",
            "--listen 0.0.0.0:8080
             --webhook-base-url http://10.0.0.8/hooks
             | webhooks.allow_networks = [\"10.0.0.0/8\", \"fd00::/8\"]",
            // Reverse proxies.
            "| http.trusted_proxies = [\"10.0.0.0/8\", \"fd00::1\"]
             | http.base_path = \"/ops/muster\"",
            "MUSTER_HTTP__TRUSTED_PROXIES=127.0.0.1, 10.0.0.0/8
             MUSTER_HTTP__BASE_PATH=",
            // TLS. The variables of the client are not settings of the service.
            "MUSTER_TLS__CERT=/etc/muster/cert.pem
             MUSTER_TLS__KEY=/etc/muster/key.pem
             | tls.client_ca = \"/etc/muster/clients.pem\"
             MUSTER_SERVER=https://muster.example.com
             MUSTER_CA_FILE=/etc/ca.pem
             MUSTER_CLIENT_CERT_FILE=/etc/client.pem",
            // A trace collector; its headers are not displayed.
            "| telemetry.otlp_endpoint = \"http://10.0.0.9:4318\"
             | telemetry.sample_ratio = 1
             MUSTER_TELEMETRY__SAMPLE_RATIO=0.25
             MUSTER_TELEMETRY__OTLP_HEADERS=authorization=Bearer 5f0a, x-tenant=7",
            // Gateways: the rules, and the settings of each gateway; no secret is displayed.
            "| gateway.default = \"bridge\"
             | gateway.rules = [\"business=cloud_api\", \"49=simulator\"]
             | gateway.bridge.url = \"http://127.0.0.1:9000\"
             MUSTER_GATEWAY__BRIDGE__SECRET=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3
             | gateway.cloud_api.waba_id = \"102290129340398\"
             | gateway.cloud_api.region = \"DE\"
             MUSTER_GATEWAY__CLOUD_API__TOKEN=EAAG-made-up
             MUSTER_GATEWAY__CLOUD_API__PIN=212834",
            // A gateway may be set up without a rule that routes accounts to it.
            "MUSTER_GATEWAY__BRIDGE__SECRET=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
            // User, password and query are not displayed.
            "--webhook-base-url https://user:password@example.com/hooks
             MUSTER_WEBHOOKS__CHANNEL_SYNC_STATUS__URL=http://user@example.com/a?token=secret",
            // Variables of other programs, and those that Kubernetes sets for a service called muster.
            "HOME=/root
             MUSTERING=1
             MUSTER_CONFIG=/etc/muster.toml
             MUSTER_SERVICE_HOST=10.0.0.1
             MUSTER_SERVICE_PORT=8080
             MUSTER_SERVICE_PORT_HTTP=8080
             MUSTER_PORT=tcp://10.0.0.1:8080
             MUSTER_PORT_8080_TCP_ADDR=10.0.0.1
             MUSTER_METRICS_PORT=tcp://10.0.0.2:9090",
            // Variables of images and clusters that resemble no setting.
            "MUSTER_VERSION=1.2.3
             MUSTER_HOME=/opt/muster
             MUSTER_PORT=8080",
            // Three characters away from a setting.
            "MUSTER_DATA_DIRECT=1",
            // Log filters: levels, targets in muster, and other targets beside them.
            "MUSTER_LOG__FILTER=off",
            "MUSTER_LOG__FILTER=info,hyper_util=trace",
            "MUSTER_LOG__FILTER=muster::webhooks",
        ],
    );
}

#[test]
fn faults() {
    check(
        "config_faults",
        &[
            // All errors at once, from every source.
            r#"| http.max_batch = "many"
               | http.listn = "127.0.0.1:1"
               MUSTER_ACTORS__COMING_TIMEOUT=10
               MUSTER_HTTP_LISTEN=127.0.0.1:2
               --listen nowhere"#,
            // Control characters, which could change what a terminal shows.
            "| \"\\u001b[31m\\u202e\" = 1",
            // An invalid value is harmless if a later source replaces it.
            "| http.listen = 5
             --listen 127.0.0.1:3",
            // Addresses.
            "--listen :8080",
            "--listen 127.0.0.1",
            "--listen 300.0.0.1:80",
            "--listen localhost:+80",
            "--listen localhost:65536",
            "--listen http://localhost:80",
            // Numbers, booleans, enumerations.
            "MUSTER_HTTP__MAX_BATCH=0
             MUSTER_HTTP__MAX_BODY_BYTES=1e9
             MUSTER_HTTP__MAX_CONNECTIONS=-1
             MUSTER_STORE__CACHE_BYTES=64MiB
             MUSTER_STORE__CHECKPOINT_EVERY=99999999999999999999999
             MUSTER_WEBHOOKS__MAX_IN_FLIGHT=4097
             MUSTER_SIMULATOR__DELAY_MS=1s
             MUSTER_HTTP__ALWAYS_200=1
             MUSTER_LOG__FORMAT=xml
             MUSTER_LOG__FILTER=muster=loud
             MUSTER_DATA_DIR=",
            // The source of the master key: only one, and the key itself only from the environment; it is not repeated.
            "| vault.master_key = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"",
            "| vault.master_key_command = \"key --name it\"
             MUSTER_VAULT__MASTER_KEY_FILE=/run/secrets/key",
            "MUSTER_VAULT__MASTER_KEY=00112233",
            "| vault.master_key_command = [\"\", \"it\"]",
            // A certificate requires its key.
            "| tls.cert = \"/etc/muster/cert.pem\"",
            "MUSTER_TLS__KEY=/etc/muster/key.pem",
            "MUSTER_TLS__CLIENT_CA=/etc/muster/clients.pem",
            // Receivers at addresses that are not allowed.
            "--listen 0.0.0.0:8080
             --webhook-base-url http://10.0.0.8/hooks
             MUSTER_WEBHOOKS__CHANNEL_SYNC_STATUS__URL=http://2852039166/latest/meta-data",
            "MUSTER_WEBHOOKS__ALLOW_NETWORKS=10.0.0.0/33
             MUSTER_WEBHOOKS__CHANNEL_SYNC_STATUS__DELIVER=some
             MUSTER_WEBHOOKS__AFTER_LAST_TRY=stop",
            // Reverse proxies.
            "MUSTER_HTTP__TRUSTED_PROXIES=proxy.internal
             MUSTER_HTTP__BASE_PATH=muster/",
            "| http.base_path = \"/api/v2\"",
            // Gateways without required settings, with cleartext URLs, and with invalid rules.
            "| gateway.default = \"bridge\"
             | gateway.rules = [\"business=cloud_api\"]",
            "| gateway.bridge.url = \"http://gateway.example.com\"
             | gateway.cloud_api.base_url = \"http://10.0.0.8\"",
            "| gateway.default = \"bridges\"
             | gateway.rules = [\"+49=bridge\"]
             | gateway.bridge.secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\"
             MUSTER_GATEWAY__CLOUD_API__TOKEN=two words
             MUSTER_GATEWAY__CLOUD_API__PIN=12345
             MUSTER_GATEWAY__CLOUD_API__VERSION=23
             MUSTER_GATEWAY__CLOUD_API__WABA_ID=one
             MUSTER_GATEWAY__CLOUD_API__LANGUAGE=english
             MUSTER_GATEWAY__CLOUD_API__REGION=FR
             MUSTER_GATEWAY__CLOUD_API__VERIFIED_NAME=L
             MUSTER_GATEWAY__CLOUD_API__CODE_REQUEST=query",
            // Durations.
            "MUSTER_ACTORS__IDLE_AFTER=0s
             MUSTER_WEBHOOKS__TIMEOUT=2d
             MUSTER_ACTORS__COMING_TIMEOUT=-1s
             MUSTER_ACCOUNTS__REGISTRATION_LIFETIME=10 minutes ago
             MUSTER_WEBHOOKS__RETRY_WAITS=10s,,30s",
            &format!("MUSTER_WEBHOOKS__RETRY_WAITS={}", ["1s"; 101].join(",")),
            // URLs; a possible password in them is not repeated.
            "--webhook-base-url example.com",
            "--webhook-base-url https:example.com",
            "--webhook-base-url ftp://example.com",
            "--webhook-base-url https://",
            "--webhook-base-url https://example.com/a b",
            "--webhook-base-url https://example.com/#top",
            "--webhook-base-url https://example.com/?token=secret",
            "--webhook-base-url https://user:pass/word@example.com:port",
            "--webhook-base-url https:/user:password@example.com",
            "--listen http://user:password@localhost:80",
            "| telemetry.otlp_headers = \"authorization=Bearer 5f0a\"
             | telemetry.sample_ratio = 2
             | telemetry.service_name = \"two words\"",
            "MUSTER_TELEMETRY__OTLP_HEADERS=authorization: Bearer 5f0a
             MUSTER_TELEMETRY__SAMPLE_RATIO=NaN
             MUSTER_TELEMETRY__OTLP_ENDPOINT=127.0.0.1:4318",
            // The file is malformed.
            "| http = 3
             | webhooks = { retry_waits = [10, 30] }
             | log.format = { json = true }
             | [nothing]
             | [accounts]
             | auto_reconect = true
             | completely_different = true",
            "| [webhooks]
             | base_url = https://user:password@example.com
             --listen nowhere",
            "| a = 1
             | a = 2",
            // A variable with lower-case letters is an error.
            "MUSTER_Http__Listen=127.0.0.1:1",
            // One or two characters away from a setting, or in a group of settings.
            "MUSTER_DATA_DRI=/from/environment
             MUSTER_CONFG=/etc/muster.toml
             MUSTER_HTTP__PORT=8080
             MUSTER_VERSION=1.2.3",
            // Filters that would silence the log.
            "MUSTER_LOG__FILTER=verbose",
            "MUSTER_LOG__FILTER=hyper_util=trace",
            "MUSTER_LOG__FILTER=info,mustr",
            "MUSTER_LOG__FILTER=muster=verbose",
        ],
    );
}

/// A written default is read again as the same value.
#[test]
fn every_default_can_be_given() {
    for setting in SETTINGS.iter() {
        let mut settings = Settings::default();
        let value = setting.kind.to_value(&settings);
        let is_set = value.to_empty().is_none();
        if is_set {
            setting
                .kind
                .parse_into(&value, &mut settings)
                .unwrap_or_else(|| panic!("{} refuses its default", setting.name));
        }
        assert_eq!(settings, Settings::default(), "{}", setting.name);
    }
}

/// Each field of the settings has its entry in the table, and vice versa.
#[test]
fn the_table_is_complete() {
    let mut fields = BTreeMap::new();
    let (mut groups, mut channels): (Vec<String>, _) = (Vec::new(), Channel::ALL.into_iter());
    let debug = format!("{:#?}", Settings::default());
    for line in debug.lines().skip(1).map(str::trim) {
        match line.split_once(": ") {
            // The settings of a channel are listed under its name.
            Some(("channels", _)) => {}
            None if line == "ChannelSettings {" => {
                groups.push(format!("{}.", channels.next().unwrap().configuration_id().to_ascii_lowercase()));
            }
            Some((name, value)) if value.ends_with('{') => groups.push(format!("{name}.")),
            Some((name, value)) => drop(fields.insert(format!("{}{name}", groups.concat()), value.to_owned())),
            None if line.starts_with('}') => drop(groups.pop()),
            None => {}
        }
    }
    fields.insert("simulator.delay_ms".to_owned(), fields["simulator.delay"].clone());
    fields.remove("simulator.delay");
    for routing in ["default", "rules"] {
        let value = fields.remove(&format!("gateway.routing.{routing}")).unwrap();
        fields.insert(format!("gateway.{routing}"), value);
    }
    let mut names: Vec<&str> = super::setting_names::setting_names().collect();
    names.sort_unstable();
    assert_eq!(fields.keys().collect::<Vec<_>>(), names);
}

proptest! {
    /// User, password, query and fragment of a URL are not displayed, whether it is accepted or not.
    #[test]
    fn no_password_is_shown(
        url in r"(https?|ftp|x)(://|:/|:)[a-z0-9]{0,3}:hunter2[a-z0-9:@]{0,5}@[a-z]{1,9}/[a-z@]{0,9}(\?hunter2[@/]{0,2})?(#hunter2)?"
    ) {
        for name in ["webhooks.base_url", "webhooks.channel_sync_status.url"] {
            let flag = FlagValue { flag: "--flag", setting: name, value: url.clone() };
            let text = match load(None, [], &[flag]) {
                Ok(effective) => effective.rows.iter().map(|row| row.value.to_string()).collect(),
                Err(error) => error.to_string(),
            };
            prop_assert!(!text.contains("hunter2"), "{text}");
        }
    }

    /// A variable that differs from a setting's variable in one or two characters is an error, since it would have no effect.
    #[test]
    fn misspelt_variables(setting in 0..SETTINGS.len(), at in 7_usize..60, letters in "[A-Z]{0,2}", cut in 0_usize..2) {
        let variable = SETTINGS[setting].variable();
        let at = at.min(variable.len() - 1);
        let misspelt = format!("{}{letters}{}", &variable[..at], &variable[at + cut.min(variable.len() - at)..]);
        let is_a_setting = SETTINGS.iter().any(|setting| setting.variable() == misspelt);
        let is_client = super::setting_names::CLIENT_VARIABLES.contains(&&*misspelt);
        let loaded = load(None, [(misspelt.clone().into(), "1".into())], &[]);
        prop_assert!(is_a_setting || is_client || loaded.is_err_and(|error| error.to_string().contains("did you mean")), "{misspelt}");
    }

    /// No text makes loading panic, whichever source has it.
    #[test]
    fn loading_never_panics(text in ".*", setting in 0..SETTINGS.len()) {
        let value = OsString::from(&text);
        let _result = load(None, [(SETTINGS[setting].variable().into(), value)], &[]);
        let _result = load(Some(&SettingsFile { path: "file".into(), text: text.clone() }), [(text.into(), "".into())], &[]);
    }
}
