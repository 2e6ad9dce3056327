//! `muster keys`: API keys.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::Value;
use zeroize::Zeroizing;

use super::api_client::{ApiRequest, JSON, RequestArgs};
use super::listing_output;
use super::{Error, secret_file};
use crate::api::api_keys::{self, CreateApiKeyRequest};
use crate::api::operation;

/// Create, list and revoke API keys
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    verb: KeysVerb,
}

#[derive(Subcommand)]
enum KeysVerb {
    Create(CreateKeyArgs),
    List(ListKeysArgs),
    Revoke(RevokeKeyArgs),
}

/// Create a key and print it; it is shown only once
#[derive(clap::Args)]
struct CreateKeyArgs {
    /// The key's name, such as the name of the back end that uses it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The role, which determines the permissions
    #[arg(long, value_enum)]
    role: RoleArg,
    /// Limit the key to accounts whose numbers begin with this; may be repeated
    #[arg(long, value_name = "PREFIX")]
    accounts: Vec<String>,
    /// The expiry: a day such as 2027-01-01, or a time
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Create the key for the tenant with this id, which signs tokens with its own secret
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Read the tenant's existing secret from this file, or from standard input for -; it is not printed
    #[arg(long, value_name = "FILE", requires = "tenant")]
    tenant_secret_file: Option<PathBuf>,
    #[command(flatten)]
    request: RequestArgs,
}

/// List all keys, without their texts
#[derive(clap::Args)]
struct ListKeysArgs {
    #[command(flatten)]
    request: RequestArgs,
}

/// Revoke a key at once
#[derive(clap::Args)]
struct RevokeKeyArgs {
    /// The key's number, which is part of its text: muster_7_… is 7
    key: u64,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleArg {
    /// The six documented endpoints
    Caller,
    /// Reading, replays, backups and webhooks
    Operator,
    /// Reading
    Auditor,
    /// Everything, including keys
    Admin,
}

const EXAMPLES: &str = "Examples:
  muster keys create --name admin --role admin                            create the first key
  muster keys create --name admin --role admin --data-dir ./muster-data   the same, while no service is running
  muster keys create --name dispatch --role caller --accounts 8618
  muster keys create --name old-back-end --role caller --tenant 500975 --tenant-secret-file tenant.secret
  muster keys list
  muster keys revoke 7

Once there is a key, every request needs one. Verbs read theirs from the environment variable MUSTER_API_KEY, or from
the file that --api-key-file names.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is no such key.";

impl KeysArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            KeysVerb::Create(verb) => verb.run(),
            KeysVerb::List(verb) => verb.run(),
            KeysVerb::Revoke(verb) => verb.run(),
        }
    }
}

impl CreateKeyArgs {
    fn run(&self) -> Result<(), Error> {
        let key_request = CreateApiKeyRequest {
            name: self.name.clone(),
            role: self.role.to_possible_value().map(|role| role.get_name().to_owned()).unwrap_or_default(),
            accounts: self.accounts.clone(),
            expires: self.expires.clone(),
            tenant: self.tenant.clone(),
            secret: self
                .tenant_secret_file
                .as_ref()
                .map(|file| secret_file::read_secret(file).map(Zeroizing::new))
                .transpose()?,
        };
        let client = self.request.source.open()?;
        self.request.print_value(&match client.offline() {
            Some(offline) => offline
                .call_json(operation::CREATE_API_KEY, async |call| api_keys::create_key(call, key_request).await)?,
            None => client.submit("POST", "keys", Some(&serde_json::to_value(&key_request).unwrap_or_default()))?,
        })
    }
}

impl ListKeysArgs {
    fn run(&self) -> Result<(), Error> {
        let client = self.request.source.open()?;
        let response = match client.offline() {
            Some(offline) => offline.call_json(operation::LIST_API_KEYS, api_keys::list_keys)?,
            None => client.request_json(&ApiRequest { method: "GET", path: "keys", accept: JSON })?,
        };
        let columns = ["id", "name", "role", "tenant", "accounts", "state", "created", "expires", "revoked"];
        let keys = response["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        listing_output::print_rows(self.request.output, columns, keys)
    }
}

impl RevokeKeyArgs {
    fn run(&self) -> Result<(), Error> {
        let client = self.request.source.open()?;
        self.request.print_value(&match client.offline() {
            Some(offline) => {
                offline.call_json(operation::REVOKE_API_KEY, async |call| api_keys::revoke_key(call, self.key).await)?
            }
            None => client.submit("DELETE", &format!("keys/{}", self.key), None)?,
        })
    }
}

impl RequestArgs {
    fn print_value(&self, value: &Value) -> Result<(), Error> {
        listing_output::print_value(self.output, value)
    }
}
