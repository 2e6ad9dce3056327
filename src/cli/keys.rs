//! `muster keys`: who may do what.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::Value;
use zeroize::Zeroizing;

use super::api_client::{ApiRequest, JSON, RequestArgs};
use super::listing_output;
use super::{Error, secret_file};
use crate::api::api_keys::{self, CreateApiKeyRequest};
use crate::api::operation;

/// Give and take away API keys, of a running service or of a directory that none uses
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

/// Make a key and print it; it is shown this once
#[derive(clap::Args)]
struct CreateKeyArgs {
    /// What people call it, as in the name of the back-end that uses it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it is for
    #[arg(long, value_enum)]
    role: RoleArg,
    /// Bind it to the accounts whose numbers begin so; may be given several times
    #[arg(long, value_name = "PREFIX")]
    accounts: Vec<String>,
    /// When it ends: a day as in 2027-01-01, or a time
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// For the tenant with this id, which shows it by tenant_id, timestamp and token; the secret for them is printed
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// The tenant's secret that there is, in a file, - for standard input; it is not printed
    #[arg(long, value_name = "FILE", requires = "tenant")]
    tenant_secret_file: Option<PathBuf>,
    #[command(flatten)]
    request: RequestArgs,
}

/// Show all keys, without what proves them
#[derive(clap::Args)]
struct ListKeysArgs {
    #[command(flatten)]
    request: RequestArgs,
}

/// Take a key away, at once
#[derive(clap::Args)]
struct RevokeKeyArgs {
    /// The number of the key, which stands in it: muster_7_… is 7
    key: u64,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleArg {
    /// The six documented endpoints
    Caller,
    /// Reads, replays, backups, webhooks
    Operator,
    /// Reads
    Auditor,
    /// Everything, keys too
    Admin,
}

const EXAMPLES: &str = "\
Examples:
  muster keys create --name admin --role admin                            the first key: from then on all need one
  muster keys create --name admin --role admin --data-dir ./muster-data   likewise, while no service runs
  muster keys create --name dispatch --role caller --accounts 8618
  muster keys create --name old-back-end --role caller --tenant 500975 --tenant-secret-file tenant.secret
  muster keys list
  muster keys revoke 7

Once there is a key, every request needs one. Verbs that ask a running service show the one in the environment
variable MUSTER_API_KEY, or in the file of --api-key-file.

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
        let wanted = CreateApiKeyRequest {
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
        let open = self.request.source.open()?;
        self.request.print_value(&match open.offline() {
            Some(offline) => offline.call_json(operation::CREATE_API_KEY, async |api, call| {
                api_keys::create_key(api, call, wanted).await
            })?,
            None => open.submit("POST", "keys", Some(&serde_json::to_value(&wanted).unwrap_or_default()))?,
        })
    }
}

impl ListKeysArgs {
    fn run(&self) -> Result<(), Error> {
        let open = self.request.source.open()?;
        let listed = match open.offline() {
            Some(offline) => offline.call_json(operation::LIST_API_KEYS, api_keys::list_keys)?,
            None => open.request_json(&ApiRequest { method: "GET", path: "keys", accept: JSON })?,
        };
        let columns = ["id", "name", "role", "tenant", "accounts", "state", "created", "expires", "revoked"];
        let keys = listed["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        listing_output::print_rows(self.request.output, columns, keys)
    }
}

impl RevokeKeyArgs {
    fn run(&self) -> Result<(), Error> {
        let open = self.request.source.open()?;
        self.request.print_value(&match open.offline() {
            Some(offline) => offline.call_json(operation::REVOKE_API_KEY, async |api, call| {
                api_keys::revoke_key(api, call, self.key).await
            })?,
            None => open.submit("DELETE", &format!("keys/{}", self.key), None)?,
        })
    }
}

impl RequestArgs {
    fn print_value(&self, value: &Value) -> Result<(), Error> {
        listing_output::print_value(self.output, value)
    }
}
