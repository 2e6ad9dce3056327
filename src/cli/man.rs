//! `muster man`.

use clap_mangen::Man as Page;

use super::{Error, output};

/// Print a manual page, of the program or of one verb
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// The verb, such as `keys create`; without it, the program
    #[arg(value_name = "VERB")]
    verbs: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  muster man | man -l -
  muster man keys create > /usr/share/man/man1/muster-keys-create.1

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl ManArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let mut command = super::command();
        // Only after `build` do the verbs have their full names.
        command.build();
        let mut selected = &command;
        for verb in &self.verbs {
            selected =
                selected.find_subcommand(verb).ok_or(Error::Usage("there is no such verb; `muster man` lists all"))?;
        }
        let mut page = Vec::new();
        Page::new(selected.clone()).render(&mut page).map_err(Error::Output)?;
        output::print_bytes(&page)
    }
}
