//! Which benches the command line selects.

/// The selection on the command line.
pub struct Selection {
    names: Vec<String>,
    is_list: bool,
}

impl Selection {
    /// Reads the arguments. Cargo's own, such as `--bench`, are ignored.
    pub fn from_arguments() -> Selection {
        let (options, names): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|it| it.starts_with('-'));
        Selection { names, is_list: options.iter().any(|option| option == "--list") }
    }

    /// Whether the benches are to be listed, not run.
    pub fn is_list(&self) -> bool {
        self.is_list
    }

    /// The benches among `all` that are selected. An id selects the bench that has it, and no other. `wide` selects all
    /// whose ids begin with `wide/`. Without a name all are selected but those that run only when they are named.
    pub fn select<'a, T>(&self, all: &'a [T], id: fn(&T) -> &str, only_when_named: impl Fn(&T) -> bool) -> Vec<&'a T> {
        let is_id = |name: &str| all.iter().any(|bench| id(bench) == name);
        let is_named = |bench: &T| {
            self.names.iter().any(|name| {
                let below = || id(bench).strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'));
                id(bench) == name || !is_id(name) && below()
            })
        };
        let is_selected = |bench: &&T| if self.names.is_empty() { !only_when_named(bench) } else { is_named(bench) };
        all.iter().filter(is_selected).collect()
    }
}
