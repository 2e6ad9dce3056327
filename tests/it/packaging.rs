//! Installation files: the systemd unit, the Containerfile, completions, the manual. Each is tested as far as possible
//! without systemd as the first process and without a container tool.

use std::collections::HashMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ::muster::limits::{CONNECTIONS, SERVICE_MANAGER_STOP_TIMEOUT, SHUTDOWN_TIMEOUT};

use crate::command_line::{insta_text, printed};
use crate::service_process::{
    ServiceProcess, TEST_TIMEOUT, muster_command, run_command, run_muster, temp_directory, wait_for_exit,
};

const KEY: &str = "7b1f0e6c5d4a39281706f5e4d3c2b1a09f8e7d6c5b4a392817060504030201ff";

/// The values of a setting of the unit, in order.
fn values<'u>(unit: &'u str, setting: &str) -> Vec<&'u str> {
    unit.lines().filter_map(|line| line.strip_prefix(setting)?.strip_prefix('=')).collect()
}

/// The program accepts the unit's settings: it runs as the unit says, and notifies the service manager.
#[test]
fn the_unit() {
    let unit = printed(&["service", "--bin", "/usr/local/bin/muster"], &[]);
    insta_text("cli_service", &unit);
    assert_eq!(unit.replace("/usr/local/bin/muster", env!("CARGO_BIN_EXE_muster")), printed(&["service"], &[]));
    assert_eq!(run_muster(&["service", "--bin", "muster"], &[]).0, Some(2));

    let data = temp_directory();
    let (state, credentials) = (data.path().join("state"), data.path().join("credentials"));
    fs::create_dir_all(&credentials).unwrap();
    let [loaded] = values(&unit, "LoadCredential")[..] else { panic!("one credential") };
    fs::write(credentials.join(loaded.split_once(':').unwrap().0), KEY).unwrap();
    let local_paths = |text: &str| {
        let text = text.replace("%S", state.to_str().unwrap()).replace("%d", credentials.to_str().unwrap());
        text.replace("/usr/local/bin/muster", env!("CARGO_BIN_EXE_muster"))
    };
    let environment = values(&unit, "Environment").into_iter().map(|it| local_paths(it.trim_matches('"')));
    let mut environment: HashMap<String, String> = environment
        .map(|it| it.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect();
    environment.insert("MUSTER_HTTP__LISTEN".to_owned(), "127.0.0.1:0".to_owned());
    let socket = data.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    environment.insert("NOTIFY_SOCKET".to_owned(), socket.display().to_string());
    let [started] = values(&unit, "ExecStart")[..] else { panic!("one ExecStart") };
    let started = local_paths(started);
    let words: Vec<&str> = started.split(' ').collect();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(words[0], env!("CARGO_BIN_EXE_muster"));
    let service = ServiceProcess::spawn(&mut muster_command(&words[1..], &environment));
    let mut message = [0; 64];
    let length = manager.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1\n");
    assert_eq!(values(&unit, "Type"), ["notify"]);

    assert_eq!(
        run_muster(&["healthcheck", "--server", &service.url("")], &[]),
        (Some(0), String::new(), String::new())
    );
    let kept = state.join("muster");
    let signal = values(&unit, "KillSignal")[0].trim_start_matches("SIG").to_owned();
    let url = service.url("");
    assert_eq!(service.stop(&signal).0.code(), Some(0));
    let (code, _, said) = run_muster(&["healthcheck", "--server", &url], &[]);
    assert!(code == Some(1) && said.contains("check that it is running"), "{said}");
    assert_eq!(run_muster(&["healthcheck", "--data-dir", kept.to_str().unwrap()], &[]).0, Some(2));
    // It uses the provided master key, and does not create a key.
    assert!(kept.join("MUSTER").exists() && !kept.join("keys").exists());
}

#[test]
fn the_unit_gives_enough() {
    let unit = printed(&["service"], &[]);
    let number = |setting| values(&unit, setting)[0].parse::<u64>().unwrap();
    assert_eq!(Duration::from_secs(number("TimeoutStopSec")), SERVICE_MANAGER_STOP_TIMEOUT);
    assert!(SERVICE_MANAGER_STOP_TIMEOUT > 2 * SHUTDOWN_TIMEOUT && number("LimitNOFILE") > 2 * CONNECTIONS as u64);
    assert_eq!((number("LimitCORE"), values(&unit, "CapabilityBoundingSet")), (0, vec![""]));
    // On a machine with systemd, the unit's settings and values are verified.
    if Command::new("systemd-analyze")
        .arg("--version")
        .spawn()
        .is_ok_and(|mut child| wait_for_exit(&mut child).success())
    {
        let data = temp_directory();
        let file = data.path().join("muster.service");
        fs::write(&file, &unit).unwrap();
        let (code, _, said) = run_command(Command::new("systemd-analyze").arg("verify").arg(&file));
        assert!(code == Some(0) && !said.contains("muster"), "{said}");
    }
}

/// The Containerfile copies everything that the build needs, and starts the program with accepted arguments.
#[test]
fn the_containerfile() {
    let file = printed(&["containerfile"], &[]);
    insta_text("cli_containerfile", &file);
    let of = |instruction: &str| {
        let lines = file.lines().filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (repository, context) = (Path::new(env!("CARGO_MANIFEST_DIR")), temp_directory());
    for copied in of("COPY").iter().filter(|copied| !copied.starts_with("--from")) {
        let (sources, _) = copied.rsplit_once(' ').unwrap();
        for source in sources.split(' ') {
            let copied = Command::new("cp").arg("-r").arg(repository.join(source)).arg(context.path()).status();
            assert!(copied.unwrap().success(), "{source}");
        }
    }
    // Cargo accepts the command and the lock file on the copied files. The build would succeed except for one more
    // program, which it does not find.
    let build = of("RUN").into_iter().find(|command| command.starts_with("cargo build ")).unwrap();
    let build = build.split(' ').skip(1).chain(["--offline", "--bin", "none"]).collect::<Vec<_>>();
    let (_, _, said) = run_command(Command::new(env!("CARGO")).args(build).current_dir(context.path()));
    assert!(said.contains("no bin target named `none`") && said.contains("\n    muster\n"), "{said}");
    assert!(of("COPY").iter().any(|copied| copied.contains("/source/target/packaged/muster ")));
    // The command that runs in the image.
    let words = |list: &str| serde_json::from_str::<Vec<String>>(list).unwrap();
    let [check] = of("HEALTHCHECK").try_into().unwrap();
    let check = words(check.split_once("CMD ").unwrap().1);
    let started = [words(&of("ENTRYPOINT")[0]), words(&of("CMD")[0])].concat();
    for command in [started, check] {
        let (program, arguments) = command.split_first().unwrap();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--help"]).collect();
        assert_eq!(program, "muster");
        assert!(printed(&arguments, &[]).contains(&format!("Usage: muster {}", arguments[0])));
    }
    let [variables] = of("ENV").try_into().unwrap();
    let environment = variables.split(' ').map(|it| it.split_once('=').unwrap()).collect::<Vec<_>>();
    let table = printed(&["config"], &environment);
    assert!(table.contains("/var/lib/muster ") && table.contains("0.0.0.0:8080 "), "{table}");
    assert_eq!(
        (of("VOLUME"), of("EXPOSE"), of("STOPSIGNAL")),
        (vec!["/var/lib/muster".into()], vec!["8080".into()], vec!["SIGTERM".into()])
    );
}

#[test]
fn completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell], &[]);
        for word in ["healthcheck", "dead-letters", "data-dir"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
    let script = printed(&["completions", "bash"], &[]);
    let asked = "COMP_WORDS=(muster keys cr) COMP_CWORD=2; _muster muster cr keys; echo ${COMPREPLY[@]}";
    // The words are in a file: they exceed the length of an argument.
    let place = temp_directory();
    let file = place.path().join("completions.bash");
    fs::write(&file, format!("{script}\n{asked}")).unwrap();
    assert_eq!(run_command(Command::new("bash").arg(file)).1, "create\n");
}

#[test]
fn the_manual() {
    let page = printed(&["man"], &[]);
    assert!(page.contains(".TH muster 1") && page.contains("muster\\-webhooks(1)"), "{page}");
    let page = printed(&["man", "keys", "create"], &[]);
    assert!(page.contains(".TH muster-keys-create 1") && page.contains("tenant\\-secret\\-file"), "{page}");
    let (code, _, said) = run_muster(&["man", "nothing"], &[]);
    assert!(code == Some(2) && said.contains("`muster man` lists all"), "{said}");
}
