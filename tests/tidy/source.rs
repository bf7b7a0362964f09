//! The tree as the rules see it: text files, and Rust files as flat lists of tokens. It finds
//! things; what is right or wrong is decided in `tests/tidy.rs`.
//!
//! Tokens rather than a syntax tree, because a path inside `format!(…)` counts like any other, and
//! comments and strings never look like code.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The tree, read once.
pub struct Tree {
    pub files: Vec<TextFile>,
    pub rust: Vec<RustFile>,
}

/// A text file of the tree; `path` is relative to the root, with `/`.
pub struct TextFile {
    pub path: String,
    pub text: String,
}

/// A Rust file.
pub struct RustFile {
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

/// An identifier, a literal, one character of punctuation, or a bracket.
pub struct Token {
    pub text: String,
    pub line: usize,
    /// How many brackets are open around it.
    pub depth: usize,
    /// Whether it stands in a test: a test file, or a module under `#[cfg(test)]`.
    pub in_test: bool,
}

impl Tree {
    /// Everything but build results and what is git's own, in order of path.
    pub fn read() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut paths = Vec::new();
        walk(&root, &mut paths);
        paths.sort();
        let read = |path: PathBuf| {
            let text = String::from_utf8(fs::read(&path).expect("a file of the tree is readable"));
            let path = path.strip_prefix(&root).expect("it was found below the root");
            Some(TextFile { path: path.to_str()?.to_owned(), text: text.ok()? })
        };
        let files: Vec<_> = paths.into_iter().filter_map(read).collect();
        let is_rust = |file: &&TextFile| Path::new(&file.path).extension() == Some("rs".as_ref());
        let rust = files.iter().filter(is_rust).map(RustFile::read);
        Self { rust: rust.collect(), files }
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| &*file.text)
    }
}

impl RustFile {
    fn read(file: &TextFile) -> Self {
        let stream: TokenStream = file.text.parse().expect("the compiler took this file");
        let mut tokens = Vec::new();
        flatten(stream, 0, &mut tokens);
        let whole = file.path.contains("tests/") || file.path.ends_with("/tests.rs");
        mark_tests(&mut tokens, whole);
        Self { path: file.path.clone(), text: file.text.clone(), tokens }
    }

    /// Whether the path starts with one of these.
    pub fn is_in(&self, homes: &[&str]) -> bool {
        homes.iter().any(|home| self.path.starts_with(home))
    }

    /// The layer a file of `src` belongs to: `edge` for `src/edge.rs` and `src/edge/peer.rs`.
    pub fn layer(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        below.split(['/', '.']).next()
    }

    /// Where this sequence of tokens stands.
    pub fn find(&self, wanted: &[&str]) -> Vec<usize> {
        let stands_at = |at: &usize| {
            wanted.iter().enumerate().all(|(offset, text)| self.text_at(at + offset) == *text)
        };
        (0..self.tokens.len()).filter(stands_at).collect()
    }

    /// The token's text; empty past the end.
    pub fn text_at(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// `path:line`.
    pub fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, self.tokens[at].line)
    }

    /// The paths that start at a token, each as its segments. `a::{b, c::d}` gives two.
    pub fn paths_from(&self, at: usize) -> Vec<Vec<String>> {
        let mut at = at;
        let mut path = Vec::new();
        loop {
            if self.text_at(at) == "{" {
                return self.paths_in_group(at, &path);
            }
            path.push(self.text_at(at).to_owned());
            if self.text_at(at + 1) != ":" || self.text_at(at + 2) != ":" {
                return vec![path];
            }
            at += 3;
        }
    }

    fn paths_in_group(&self, open: usize, before: &[String]) -> Vec<Vec<String>> {
        let depth = self.tokens[open].depth;
        let inside = (open + 1..self.tokens.len()).take_while(|at| self.tokens[*at].depth > depth);
        let starts = inside.filter(|at| {
            let follows = self.tokens[*at - 1].text.as_str();
            self.tokens[*at].depth == depth + 1 && (*at == open + 1 || follows == ",")
        });
        let below = starts.flat_map(|at| self.paths_from(at));
        below.map(|rest| [before, &rest].concat()).collect()
    }

    /// `super`s that lead above the layer's own module.
    pub fn supers_out_of_the_layer(&self) -> Vec<usize> {
        let modules = self.path.matches('/').count();
        let climbs = |at: &usize| {
            let supers =
                (0..=modules + 1).take_while(|n| self.text_at(at + 3 * n) == "super").count();
            // The inline module of tests is one deeper.
            supers >= modules + usize::from(self.tokens[*at].in_test)
        };
        self.find(&["super", ":", ":"]).into_iter().filter(climbs).collect()
    }

    /// What stands between a bracket and its close.
    pub fn words_in_group(&self, open: usize) -> impl Iterator<Item = &str> {
        let depth = self.tokens[open].depth;
        let inside = self.tokens[open + 1..].iter().take_while(move |token| token.depth > depth);
        inside.map(|token| token.text.as_str())
    }

    /// Functions with a body: name, place, lines from `fn` to the closing brace.
    pub fn functions(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.find(&["fn"]).into_iter().filter_map(|at| {
            let start = &self.tokens[at];
            let at_depth = |i: &usize| self.tokens[*i].depth == start.depth;
            let mut rest = (at..self.tokens.len()).filter(at_depth);
            let open = rest.find(|i| matches!(self.text_at(*i), "{" | ";"))?;
            // `fn(` is a type, and a function of a trait may have no body.
            (self.text_at(at + 1) != "(" && self.text_at(open) == "{").then_some(())?;
            let close = rest.find(|i| self.text_at(*i) == "}")?;
            Some((self.text_at(at + 1), at, self.tokens[close].line - start.line + 1))
        })
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree is readable") {
        let entry = entry.expect("a folder of the tree is readable");
        let name = entry.file_name();
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() && name != "target" && name != ".git" {
            walk(&entry.path(), found);
        } else if kind.is_file() && name != ".git" {
            found.push(entry.path());
        }
    }
}

fn flatten(stream: TokenStream, depth: usize, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let TokenTree::Group(group) = tree else {
            tokens.push(Token { text: tree.to_string(), line, depth, in_test: false });
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        tokens.push(Token { text: open.into(), line, depth, in_test: false });
        flatten(group.stream(), depth + 1, tokens);
        let line = group.span_close().start().line;
        tokens.push(Token { text: close.into(), line, depth, in_test: false });
    }
}

/// Marks everything, or what stands in `#[cfg(test)] mod … { … }`.
fn mark_tests(tokens: &mut [Token], whole: bool) {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut until_depth = None;
    for at in 0..tokens.len() {
        let here = tokens[at..].iter().map(|token| token.text.as_str());
        if until_depth.is_none() && here.take(attribute.len()).eq(attribute) {
            until_depth = Some(tokens[at].depth);
        }
        tokens[at].in_test = whole || until_depth.is_some();
        let ends = matches!(tokens[at].text.as_str(), "}" | ";");
        if ends && until_depth == Some(tokens[at].depth) {
            until_depth = None;
        }
    }
}
