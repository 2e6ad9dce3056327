//! `muster webhooks url`, `secret`, `app-secret`.

use std::path::PathBuf;

use serde_json::json;

use super::ChannelArgs;
use crate::cli::{Error, output, secret_file};

/// Set a channel's receiver; pending deliveries go there too
#[derive(clap::Args)]
pub(super) struct SetUrlArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    /// The receiver's URL, such as https://example.com/status
    #[arg(required_unless_present = "reset")]
    url: Option<String>,
    /// Return to the receiver in the settings; if they name none, events wait for one
    #[arg(long, conflicts_with = "url")]
    reset: bool,
}

/// Set a new signing secret (Standard Webhooks) and print it
#[derive(clap::Args)]
#[command(next_line_help = true)]
pub(super) struct SetSecretArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    /// Read the secret from this file, or from standard input for -; by default, a new one is generated
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How long the previous secrets also sign [default: 24h]
    #[arg(long, value_name = "DURATION")]
    grace: Option<String>,
    /// Stop signing with Standard Webhooks
    #[arg(long, conflicts_with_all = ["secret_file", "grace"])]
    remove: bool,
}

/// Sign with a tenant id and app secret, as the contract's API family does
#[derive(clap::Args)]
#[command(next_line_help = true)]
pub(super) struct SetAppSecretArgs {
    #[command(flatten)]
    channel: ChannelArgs,
    /// The tenant's id
    #[arg(long, value_name = "ID", required_unless_present = "remove")]
    tenant_id: Option<String>,
    /// Read the secret from this file, or from standard input for -
    #[arg(long, value_name = "FILE", required_unless_present = "remove")]
    secret_file: Option<PathBuf>,
    /// Stop signing with an app secret
    #[arg(long, conflicts_with_all = ["tenant_id", "secret_file"])]
    remove: bool,
}

impl SetUrlArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let response = match &self.url {
            Some(url) => self.channel.submit("PUT", "url", Some(&json!({"url": url})))?,
            None => self.channel.submit("DELETE", "url", None)?,
        };
        self.channel.print_value(&response)
    }
}

impl SetSecretArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        if self.remove {
            return self.channel.print_value(&self.channel.submit("DELETE", "secret", None)?);
        }
        let mut body = serde_json::Map::new();
        if let Some(path) = &self.secret_file {
            body.insert("secret".to_owned(), secret_file::read_secret(path)?.into());
        }
        if let Some(grace) = &self.grace {
            body.insert("grace".to_owned(), grace.as_str().into());
        }
        let response = self.channel.submit("PUT", "secret", Some(&body.into()))?;
        output::print(&format!("{}\n", response["secret"].as_str().unwrap_or_default()))
    }
}

impl SetAppSecretArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let response = match (&self.tenant_id, &self.secret_file) {
            (Some(tenant_id), Some(path)) => {
                let body = json!({"tenantId": tenant_id, "secret": secret_file::read_secret(path)?});
                self.channel.submit("PUT", "app-secret", Some(&body))?
            }
            (_, _) => self.channel.submit("DELETE", "app-secret", None)?,
        };
        self.channel.print_value(&response)
    }
}
