//! `muster completions`.

use clap_complete::{Shell, generate};

use super::{Error, output};

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  muster completions bash > /usr/share/bash-completion/completions/muster
  muster completions zsh > /usr/share/zsh/site-functions/_muster
  muster completions fish > /usr/share/fish/vendor_completions.d/muster.fish

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl CompletionsArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let mut script = Vec::new();
        generate(self.shell, &mut super::command(), "muster", &mut script);
        output::print_bytes(&script)
    }
}
