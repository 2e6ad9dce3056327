//! `muster containerfile`.

use super::{Error, output};

/// Print a Containerfile that builds the service from source
///
/// The image has the binary, the system's CAs and a user that is not root. It writes only to its volume, so its root
/// file system may be read-only.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub(super) struct ContainerfileArgs {}

const EXAMPLES: &str = "\
Examples, in a checkout:
  muster containerfile > target/Containerfile
  podman build --format docker --file target/Containerfile --tag muster .
  podman run --rm --volume muster:/var/lib/muster muster keys create --name admin --role admin \\
    --data-dir /var/lib/muster
  podman run --read-only --cap-drop all --volume muster:/var/lib/muster --publish 8080:8080 --stop-timeout 30 muster

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// The user id that runs the service. No system gives it to a person, and it works without a user name.
const USER_ID: u32 = 65532;

impl ContainerfileArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        output::print(&format_containerfile())
    }
}

fn format_containerfile() -> String {
    let rust = env!("CARGO_PKG_RUST_VERSION");
    format!(
        r#"FROM rust:{rust}-slim-bookworm AS build
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
RUN cargo build --locked --profile packaged --bin muster
RUN install --directory --owner={USER_ID} --group={USER_ID} --mode=0700 /data

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /source/target/packaged/muster /usr/local/bin/muster
COPY --from=build --chown={USER_ID}:{USER_ID} /data /var/lib/muster
COPY LICENSE /usr/share/doc/muster/LICENSE
ENV MUSTER_DATA_DIR=/var/lib/muster MUSTER_HTTP__LISTEN=0.0.0.0:8080
VOLUME /var/lib/muster
USER {USER_ID}:{USER_ID}
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["muster", "healthcheck"]
ENTRYPOINT ["muster"]
CMD ["serve"]
"#
    )
}
