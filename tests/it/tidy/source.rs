//! Tokens and text literals of Rust source files.

use std::path::Path;
use std::{fs, iter};

use crate::service_process::list_files;

/// A Rust file.
pub struct SourceFile {
    /// Relative to the repository root: `src/http/mod.rs`.
    pub path: String,
    pub text: String,
    /// Identifiers, `::`, and all other characters one by one. A text literal is a `"`.
    pub words: Vec<Token>,
}

pub struct Token {
    pub text: String,
    pub line: usize,
}

/// All Rust files below these folders, in order.
pub fn sources(folders: &[&str]) -> Vec<SourceFile> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = folders.iter().flat_map(|folder| list_files(&top.join(folder))).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths.sort();
    let source = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let words = tokenize(&text);
        SourceFile { path: path.strip_prefix(top).unwrap().to_str().unwrap().to_owned(), text, words }
    };
    paths.iter().map(|path| source(path)).collect()
}

/// The content of a file of the repository, if it exists.
pub fn file(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

impl SourceFile {
    /// The module that the file belongs to: `http` for `src/http/mod.rs`. `lib` and `main` are their own.
    pub fn module(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split(['/', '.']).next().unwrap()
    }

    /// The file as a module, in segments below `src`: `http`, `routes` for `src/http/routes.rs`.
    pub fn module_path(&self) -> Vec<&str> {
        let below = self.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        below.split('/').collect()
    }

    /// The content of each text literal with its first line, up to the module `tests` in this file.
    pub fn texts(&self) -> Vec<(String, usize)> {
        let code = self.text.split("\nmod tests {").next().unwrap_or_default();
        let literals = raw_tokens(code).filter(|(token, _)| token.ends_with(['"', '#']) && token.len() > 1);
        literals.map(|(token, line)| (token.to_owned(), line)).collect()
    }

    /// Tests may use any module.
    pub fn is_test(&self) -> bool {
        let is_of =
            |name: &str| self.path.ends_with(&format!("/{name}.rs")) || self.path.contains(&format!("/{name}/"));
        is_of("tests") || is_of("fuzz")
    }

    /// Lines where `super` leads out of the module to the crate root.
    pub fn lines_leaving_by_super(&self) -> Vec<usize> {
        // The depth of the current token's module below the crate; inline modules add to that of the file.
        let (mut depth, mut supers, mut lines) = (self.module_path().len(), 0, Vec::new());
        for (at, word) in self.words.iter().enumerate() {
            let opens = |words: &[Token]| words[0].text == "mod" && words[2].text == "{";
            depth += usize::from(self.words.get(at..at + 3).is_some_and(opens));
            match word.text.as_str() {
                "super" => supers += 1,
                "::" => {}
                _ => supers = 0,
            }
            if supers == depth {
                lines.push(word.line);
            }
        }
        lines.dedup();
        lines
    }

    /// The lines where these tokens follow each other.
    pub fn lines_with(&self, phrase: &[&str]) -> Vec<usize> {
        let is_here = |words: &&[Token]| words.iter().zip(phrase).all(|(word, wanted)| word.text == *wanted);
        self.words.windows(phrase.len()).filter(is_here).map(|words| words[0].line).collect()
    }

    /// The first segment after `root::`, in paths and in `root::{…}`, with its line.
    pub fn named_below(&self, root: &str) -> Vec<(&str, usize)> {
        self.paths_below(root).into_iter().map(|(path, line)| (path[0], line)).collect()
    }

    /// The segments after `root::` of each path, those in `root::{…}` one by one, with their lines.
    pub fn paths_below(&self, root: &str) -> Vec<(Vec<&str>, usize)> {
        let begins =
            |at: &usize| self.words[*at].text == root && self.words[at + 1].text == "::" && !self.continues_a_path(*at);
        let mut paths = Vec::new();
        for at in (0..self.words.len().saturating_sub(2)).filter(begins) {
            self.read_paths(at + 2, &[], &mut paths);
        }
        paths
    }

    /// Reads a path, or the paths of a group, that follows `prefix` and begins at `at`. Returns where it ends.
    fn read_paths<'a>(&'a self, mut at: usize, prefix: &[&'a str], paths: &mut Vec<(Vec<&'a str>, usize)>) -> usize {
        let text = |at: usize| self.words.get(at).map_or("", |word| word.text.as_str());
        let mut path = prefix.to_vec();
        while text(at) != "{" {
            path.push(text(at));
            if text(at + 1) != "::" {
                paths.push((path, self.words[at].line));
                // The new name after `as` is no segment.
                return if text(at + 1) == "as" { at + 3 } else { at + 1 };
            }
            at += 2;
        }
        while text(at) != "}" && at < self.words.len() {
            at = if text(at + 1) == "}" { at + 1 } else { self.read_paths(at + 1, &path, paths) };
        }
        at + 1
    }

    /// Whether the token at `at` continues a path that began before it.
    pub fn continues_a_path(&self, at: usize) -> bool {
        let before = |steps: usize| at.checked_sub(steps).map(|at| self.words[at].text.as_str());
        before(1) == Some("::") && before(2).is_some_and(is_identifier)
    }
}

/// The tokens of a Rust text.
fn tokenize(text: &str) -> Vec<Token> {
    let token = |(word, line): (&str, usize)| {
        let is_sign = word.chars().count() == 1 && !word.starts_with(char::is_whitespace);
        let is_word = word == "::" || is_identifier(word) || is_sign;
        let text = if is_word {
            word
        } else if word.ends_with(['"', '#']) {
            "\""
        } else {
            return None;
        };
        Some(Token { text: text.to_owned(), line })
    };
    raw_tokens(text).filter_map(token).collect()
}

/// All tokens of a Rust text except comments, with their lines.
fn raw_tokens(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let (mut line, mut rest) = (1, text);
    let tokens = iter::from_fn(move || {
        let (token, after) = rest.split_at_checked(length(rest)).filter(|(token, _)| !token.is_empty())?;
        let began = line;
        line += token.matches('\n').count();
        rest = after;
        Some((token, began))
    });
    tokens.filter(|(token, _)| !token.starts_with("//") && !token.starts_with("/*"))
}

pub fn is_identifier(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && word.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// The length of the first token of `rest`: a comment, a text, a character, an identifier, or one sign.
fn length(rest: &str) -> usize {
    let to = |end: Option<usize>| end.unwrap_or(rest.len());
    if rest.starts_with("//") {
        return to(rest.find('\n'));
    }
    if rest.starts_with("/*") {
        return to(rest.find("*/").map(|end| end + 2));
    }
    if let Some(raw) = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let (open, close) = (rest.len() - raw.len() + hashes + 1, format!("\"{}", "#".repeat(hashes)));
            return to(rest[open..].find(&close).map(|end| open + end + close.len()));
        }
    }
    let (prefix, quoted) = rest.strip_prefix('b').map_or((0, rest), |quoted| (1, quoted));
    match quoted.chars().next() {
        Some('"') => return prefix + quoted_length(quoted, '"'),
        // A character, not a lifetime.
        Some('\'') if quoted[1..].starts_with('\\') || quoted.chars().nth(2) == Some('\'') => {
            return prefix + quoted_length(quoted, '\'');
        }
        _ => {}
    }
    if rest.starts_with("::") {
        return 2;
    }
    let letters = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    to(letters).max(rest.chars().next().map_or(0, char::len_utf8))
}

/// The length of the quoted text at the beginning of `text`, including its quotes.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn words_are_told_from_comments_and_texts() {
    let text =
        "use a::{b, c}; // no\n/// nor \"this\"\nlet x<'a> = r#\"b \" c\"# + \"\\\"d\" + 'e' + '\\'' + b'f';\nend";
    let words: Vec<(String, usize)> = tokenize(text).into_iter().map(|word| (word.text, word.line)).collect();
    let first: Vec<&str> = words.iter().map(|word| word.0.as_str()).collect();
    let expected = "use a :: { b , c } ; let x < ' a > = \" + \" + + + ; end";
    assert_eq!(first.join(" "), expected);
    assert_eq!(words.last().unwrap().1, 4);
}
