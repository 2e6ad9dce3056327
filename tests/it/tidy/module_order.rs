//! Module order: which module uses which, and which outside crate belongs to which module.

use std::collections::BTreeSet;

use super::source::{SourceFile, file, sources};
use super::{TidyFaults, fault};

/// Uses that the table of `src/lib.rs` would allow and we do not want: module, modules it must not use, how to mend it.
const FORBIDDEN_USES: [(&str, &[&str], &str); 5] = [
    ("actors", &["projections"], "hand it in through the journal"),
    ("projections", &["actors"], "read the journal, which says what happened"),
    ("http", &["store"], "ask `actors`, `projections` or `vault`"),
    ("gateway", &["journal"], "report what is seen, and let the actors append it"),
    ("cli", &["actors", "gateway", "http", "webhooks"], "let `service` run it"),
];

/// The modules that a crate belongs to. A crate without modules may be used everywhere except in `domain`.
const CRATE_MODULES: [(&str, &[&str]); 62] = [
    ("actix", &["actors"]),
    ("base64", &["access", "audit", "client", "console", "webhooks"]),
    ("bincode", &["journal", "webhooks"]),
    ("bytes", &[]),
    ("chacha20poly1305", &["vault"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("crc32fast", &[]),
    ("dashmap", &["access", "actors", "idempotency", "journal"]),
    ("figment", &["config"]),
    ("flate2", &["projections"]),
    ("futures_util", &[]),
    ("getrandom", &[]),
    ("hmac", &["gateway", "vault", "webhooks"]),
    ("http_body_util", &["client", "conformance", "http"]),
    ("httpdate", &["client"]),
    ("hyper", &["client", "conformance", "http"]),
    ("hyper_rustls", &["client"]),
    ("hyper_util", &["client", "conformance", "http"]),
    ("indicatif", &["cli"]),
    ("jiff", &["client", "config", "audit"]),
    ("matchit", &["http"]),
    ("maud", &["console"]),
    ("md5", &["access"]),
    ("mimalloc", &["main"]),
    ("opentelemetry", &["traces"]),
    ("opentelemetry_http", &["traces"]),
    ("opentelemetry_otlp", &["traces"]),
    ("opentelemetry_sdk", &["traces"]),
    ("percent_encoding", &["client"]),
    ("phonenumber", &["http"]),
    ("prometheus_client", &["metrics"]),
    ("regex", &["http"]),
    ("reqwest", &["client", "config", "traces", "webhooks", "gateway", "conformance", "demo", "cli"]),
    ("ring", &["vault"]),
    ("rustls", &["client", "http"]),
    ("rustls_platform_verifier", &["client"]),
    ("rustix", &["cli", "clock", "files", "metrics"]),
    ("sd_notify", &["cli"]),
    ("serde", &[]),
    ("serde_json", &[]),
    ("serde_path_to_error", &["http", "gateway"]),
    ("sha2", &[]),
    ("signal_hook", &["cli"]),
    ("sled", &["store"]),
    ("strsim", &["config", "http"]),
    ("tempfile", &[]),
    ("thiserror", &[]),
    ("tokio", &[]),
    ("tokio_io_timeout", &["http"]),
    ("tokio_rustls", &["http"]),
    ("tokio_util", &[]),
    ("tower_service", &["client"]),
    ("tracing", &[]),
    ("tracing_opentelemetry", &["traces"]),
    ("tracing_subscriber", &["config", "traces", "cli"]),
    ("url", &["client", "config", "console", "webhooks", "gateway", "cli"]),
    ("utoipa", &["access", "api", "audit", "config", "gateway", "http", "vault", "webhooks"]),
    ("utoipa_swagger_ui", &["http"]),
    ("warp", &["http", "receiver", "console"]),
    ("zeroize", &[]),
];

/// Modules of the standard library that `domain`, being pure, must not use.
const IMPURE: [&str; 7] = ["env", "fs", "io", "net", "os", "process", "thread"];

/// The modules, lowest first, as the table of `src/lib.rs` lists them.
fn module_table() -> Vec<String> {
    let map = file("src/lib.rs").unwrap();
    let row = |line: &str| Some(line.strip_prefix("//! | [`")?.split_once('`')?.0.to_owned());
    map.lines().filter_map(row).collect()
}

#[test]
fn lib_lists_every_module() {
    let mut faults = TidyFaults::default();
    let (table, sources) = (module_table(), sources(&["src"]));
    for source in sources.iter().filter(|source| !matches!(source.module(), "lib" | "main" | "fuzzing")) {
        if !table.iter().any(|module| module == source.module()) {
            fault!(faults, "src/lib.rs:1: the table has no row for the module `{}`; add it", source.module());
        }
    }
    for module in table {
        if !sources.iter().any(|source| source.module() == module) {
            fault!(faults, "src/lib.rs:1: there is no module `{module}`; take its row out of the table");
        }
    }
    faults.assert_none();
}

#[test]
fn modules_use_only_modules_above_them() {
    let (mut faults, table) = (TidyFaults::default(), module_table());
    let place = |module: &str| table.iter().position(|listed| listed == module);
    for source in sources(&["src"]).iter().filter(|source| source.path != "src/lib.rs") {
        let (path, module) = (&source.path, source.module());
        let own = place(module).unwrap_or(usize::MAX);
        for (seen, line) in source.named_below("crate") {
            let Some(other) = place(seen) else {
                if seen == "testkit" {
                    continue; // Only tests use it.
                }
                fault!(faults, "{path}:{line}: `crate::{seen}` is no module; name the module that has it");
                continue;
            };
            if other > own {
                fault!(
                    faults,
                    "{path}:{line}: `{module}` uses `{seen}`, which is below it in the table of src/lib.rs; \
                    let `{seen}` hand in what is needed"
                );
            }
            let unseen = FORBIDDEN_USES.iter().find(|unseen| unseen.0 == module && unseen.1.contains(&seen));
            if let Some((_, _, mend)) = unseen.filter(|_| !source.is_test()) {
                fault!(faults, "{path}:{line}: `{module}` does not see `{seen}`; {mend}");
            }
        }
        for line in source.lines_leaving_by_super() {
            fault!(faults, "{path}:{line}: this leaves the module by `super`; write `crate::`");
        }
    }
    faults.assert_none();
}

/// Files that import each other can only be understood together.
#[test]
fn files_of_a_module_import_in_one_direction() {
    let (mut faults, sources) = (TidyFaults::default(), sources(&["src"]));
    let modules: BTreeSet<Vec<&str>> = sources.iter().map(SourceFile::module_path).collect();
    let imports: Vec<_> = sources.iter().filter(|source| !source.is_test()).flat_map(sibling_imports).collect();
    let imports: Vec<_> = imports.iter().filter(|import| modules.contains(&import.to)).collect();
    for SiblingImport { from, to, path, line } in &imports {
        let (mut reached, mut next) = (BTreeSet::new(), vec![to]);
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(imports.iter().filter(|import| import.from == *module).map(|import| &import.to));
            }
        }
        if reached.contains(from) {
            let [from, to] = [from, to].map(|module| module.join("::"));
            fault!(
                faults,
                "{path}:{line}: `{from}` imports `{to}`, which leads back to it; move what both need to a file below them"
            );
        }
    }
    faults.assert_none();
}

/// A file or folder of a module that imports another one of the same module.
#[derive(PartialEq)]
struct SiblingImport<'a> {
    from: Vec<&'a str>,
    to: Vec<&'a str>,
    path: &'a str,
    line: usize,
}

/// What a file imports of its own module, apart from its tests.
fn sibling_imports(source: &SourceFile) -> Vec<SiblingImport<'_>> {
    let own = source.module_path();
    let tests = source.lines_with(&["mod", "tests", "{"]).first().copied().unwrap_or(usize::MAX);
    let from_super = source.paths_below("super").into_iter().map(|(path, line)| {
        let supers = 1 + path.iter().take_while(|segment| **segment == "super").count();
        ([&own[..own.len().saturating_sub(supers)], &path[supers - 1..]].concat(), line)
    });
    let mut imports = Vec::new();
    for (to, line) in from_super.chain(source.paths_below("crate")).filter(|(_, line)| *line < tests) {
        let shared = own.iter().zip(&to).take_while(|(own, other)| own == other).count();
        if shared > 0 && own.len() > shared && to.len() > shared {
            let (from, to) = (own[..=shared].to_vec(), to[..=shared].to_vec());
            imports.push(SiblingImport { from, to, path: &source.path, line });
        }
    }
    // A group of names is one import.
    imports.dedup();
    imports
}

#[test]
fn crates_are_named_where_they_belong() {
    let mut faults = TidyFaults::default();
    for source in &sources(&["src"]) {
        let (path, module) = (&source.path, source.module());
        for (name, line) in external_crates(source) {
            let Some((_, modules)) = CRATE_MODULES.iter().find(|place| place.0 == name) else { continue };
            if module == "domain" && name != "thiserror" && !source.is_test() {
                fault!(faults, "{path}:{line}: `domain` is pure and does not name `{name}`; hand in what it needs");
            } else if !modules.is_empty() && !modules.contains(&module) {
                let modules = modules.join("` or `");
                fault!(
                    faults,
                    "{path}:{line}: `{name}` belongs in `{modules}`; move this there, or widen CRATE_MODULES"
                );
            }
        }
    }
    faults.assert_none();
}

/// The outside crates that a file names in paths and by `use`, with their lines.
fn external_crates(source: &SourceFile) -> Vec<(&str, usize)> {
    let is_crate = |at: &usize| {
        let next = source.words.get(at + 1).map(|word| word.text.as_str());
        let is_imported = *at > 0 && source.words[at - 1].text == "use" && matches!(next, Some(";" | "as"));
        (next == Some("::") && !source.continues_a_path(*at)) || is_imported
    };
    let named = (0..source.words.len()).filter(is_crate).map(|at| &source.words[at]);
    named.map(|word| (word.text.as_str(), word.line)).collect()
}

#[test]
fn dependencies_are_known_and_used() {
    let (mut faults, manifest) = (TidyFaults::default(), file("Cargo.toml").unwrap());
    let sources = sources(&["src"]);
    let start = manifest.lines().position(|line| line == "[dependencies]").unwrap();
    let lines = manifest.lines().enumerate().skip(start + 1).take_while(|(_, line)| !line.starts_with('['));
    for (line, name) in lines.filter_map(|(line, text)| Some((line + 1, text.split_once(" = ")?.0.replace('-', "_")))) {
        if !CRATE_MODULES.iter().any(|place| place.0 == name) {
            fault!(
                faults,
                "Cargo.toml:{line}: `{name}` is missing; list its modules in CRATE_MODULES of tests/it/tidy/module_order.rs"
            );
        }
        if !sources.iter().any(|source| external_crates(source).iter().any(|named| named.0 == name)) {
            fault!(faults, "Cargo.toml:{line}: nothing in src names `{name}`; take it out");
        }
    }
    faults.assert_none();
}

#[test]
fn the_clock_is_read_in_one_place() {
    let mut faults = TidyFaults::default();
    for source in sources(&["src"]).iter().filter(|source| source.path != "src/clock.rs") {
        let path = &source.path;
        let clocks: [&[&str]; 4] = [&["SystemTime"], &["UNIX_EPOCH"], &["Timestamp", "::", "now"], &["Zoned"]];
        for line in clocks.iter().flat_map(|clock| source.lines_with(clock)) {
            fault!(faults, "{path}:{line}: only src/clock.rs reads the clock; call `clock::now`, or take the time in");
        }
    }
    faults.assert_none();
}

/// Every record names the requester. Only the authorization when the request is carried out provides that name.
#[test]
fn requesters_are_authorized_right_before_acting() {
    let mut faults = TidyFaults::default();
    let names: [&[&str]; 3] = [&["Principal"], &["Origin", "::"], &["Origin", "{"]];
    for source in sources(&["src"]).iter().filter(|source| matches!(source.module(), "api" | "http" | "console")) {
        for line in names.iter().flat_map(|name| source.lines_with(name)).filter(|_| !source.is_test()) {
            let path = &source.path;
            fault!(faults, "{path}:{line}: a request does not say itself whose it is; call `Requester::authorize`");
        }
    }
    faults.assert_none();
}

/// Pages render the API's typed answers. What a page reads itself is a form, whose fields are texts.
#[test]
fn the_console_parses_no_answers() {
    let mut faults = TidyFaults::default();
    for source in sources(&["src"]).iter().filter(|source| source.module() == "console") {
        for line in source.lines_with(&["Deserialize"]) {
            fault!(
                faults,
                "{}:{line}: a page does not parse an answer; call `api`, and read the answer's fields",
                source.path
            );
        }
    }
    faults.assert_none();
}

#[test]
fn the_domain_is_pure() {
    let mut faults = TidyFaults::default();
    let sources = sources(&["src"]);
    for source in sources.iter().filter(|source| source.module() == "domain" && !source.is_test()) {
        let impure = source.named_below("std").into_iter().filter(|(name, _)| IMPURE.contains(name));
        let words = ["async", "await", "Instant"].into_iter();
        let words = words.flat_map(|word| source.lines_with(&[word]).into_iter().map(move |line| (word, line)));
        for (name, line) in impure.chain(words) {
            fault!(faults, "{}:{line}: `domain` is pure and has no `{name}`; take its result in", source.path);
        }
    }
    faults.assert_none();
}
