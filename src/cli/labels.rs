//! `muster labels`.

use serde_json::{Value, json};

use super::Error;
use super::api_client::RequestArgs;
use super::listing_output;

/// Replace an account's labels
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LabelsArgs {
    /// The account's number
    number: String,
    /// All labels after the change, as NAME:VALUE; a value may be empty
    #[arg(value_name = "NAME:VALUE", value_parser = parse_label, required_unless_present = "clear")]
    labels: Vec<(String, String)>,
    /// Remove all labels
    #[arg(long, conflicts_with = "labels")]
    clear: bool,
    /// The reason, which is recorded for good
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "Examples:
  muster labels 861821726232 team:care tier:gold
  muster labels 861821726232 team:sales --reason \"moved to another team\"
  muster labels 861821726232 --clear

Labels that are not given are removed. Needs a running service.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the account is unknown.";

fn parse_label(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("write NAME:VALUE, such as team:care")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl LabelsArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let mut labels = serde_json::Map::new();
        for (name, value) in &self.labels {
            if labels.insert(name.clone(), Value::from(value.as_str())).is_some() {
                return Err(Error::Usage("a label is given twice; give each name once"));
            }
        }
        let path = format!("accounts/{}/labels", self.number);
        let body = json!({"labels": labels, "reason": self.reason.as_deref().unwrap_or_default()});
        let response = self.request.source.open()?.submit("PUT", &path, Some(&body))?;
        listing_output::print_value(self.request.output, &response)
    }
}
