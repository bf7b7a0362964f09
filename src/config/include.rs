//! `include = ["conf.d/*.toml"]`: finds and reads the files that the main file names. It looks at
//! no other key; the main file is read in full with all others.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::diagnostic::{Diagnostics, Problems};
use super::keys::Keys;
use super::section::{Section, Text};
use super::source::{Source, Sources};

/// Most files of one config, the main file among them.
const FILES_MAX: usize = 256;

/// The main file with what it includes: pattern by pattern, within a pattern by name, each file
/// once.
pub(super) fn read(main: Source, keys: &Keys) -> (Sources, Diagnostics) {
    let mut sources = Sources::new(main);
    let (included, found) = included(&sources, keys);
    sources.included = included;
    (sources, found)
}

fn included(sources: &Sources, keys: &Keys) -> (Vec<Source>, Diagnostics) {
    let problems = Problems::new(sources);
    // Syntax errors are reported when all files are read; what can be read of a broken main file
    // is enough to look into the files it includes.
    let (document, _) = DeTable::parse_recoverable(&sources.main.text);
    let mut top = Section::top(&problems, keys, 0, document.get_ref());
    let patterns = top.texts("include", 0..=FILES_MAX).unwrap_or_default();

    let expand = |pattern| {
        let paths = expand(pattern, sources.folder(), &problems).into_iter();
        paths.map(move |path| (pattern, path))
    };
    let mut files: Vec<(Text<'_>, PathBuf)> = patterns.into_iter().flat_map(expand).collect();
    // A file that two patterns match, and a main file that matches its own pattern, count once.
    let mut seen: BTreeSet<PathBuf> = fs::canonicalize(&sources.main.path).into_iter().collect();
    files.retain(|(_, path)| fs::canonicalize(path).map_or(true, |real| seen.insert(real)));
    if let Some((pattern, _)) = files.get(FILES_MAX - 1) {
        let message = format!("more than {FILES_MAX} files make up this config");
        problems.error(pattern.at, message, "merge some of the files");
        files.truncate(FILES_MAX - 1);
    }
    let read = |(pattern, path): &(Text<'_>, PathBuf)| read_one(*pattern, path, &problems);
    (files.iter().filter_map(read).collect(), problems.finish())
}

fn read_one(pattern: Text<'_>, path: &Path, problems: &Problems<'_>) -> Option<Source> {
    match Source::read(path) {
        Ok(source) => Some(source),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            problems.error(pattern.at, message, "check that the file exists and may be read");
            None
        }
    }
}

/// The paths that a pattern stands for; a pattern without `*` is one path, there or not.
fn expand(pattern: Text<'_>, folder: &Path, problems: &Problems<'_>) -> Vec<PathBuf> {
    let path = folder.join(pattern.text);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(name), Some(parent)) = (name, path.parent()) else {
        problems.error(pattern.at, "this is not a path of a file", "write \"conf.d/*.toml\"");
        return Vec::new();
    };
    if Path::new(pattern.text).parent().is_some_and(|p| p.to_string_lossy().contains('*')) {
        let fix = "list the folders one by one";
        problems.error(pattern.at, "a '*' may stand only in the last part of a path", fix);
        return Vec::new();
    }
    if !name.contains('*') {
        return vec![path];
    }
    let found = matching(&name, parent);
    if found.as_ref().is_ok_and(Vec::is_empty) {
        let message = format!("\"{}\" matches no file", pattern.text);
        problems.warning(pattern.at, message, "check the folder, or take the pattern out");
    }
    found.unwrap_or_else(|error| {
        let message = format!("the folder {} cannot be read: {error}", parent.display());
        problems.error(pattern.at, message, "check that the folder may be read");
        Vec::new()
    })
}

/// Files of a folder by name pattern, in order of their names. A folder that is not there has none.
fn matching(pattern: &str, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match fs::read_dir(here) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let path = folder.join(&name);
        if matches(pattern, &name.to_string_lossy()) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a name fits a pattern with at least one `*`. As in a shell, `*` does not find hidden
/// files.
fn matches(pattern: &str, name: &str) -> bool {
    let hidden = name.starts_with('.') && !pattern.starts_with('.');
    let mut parts = pattern.split('*');
    let (Some(first), Some(last)) = (parts.next(), parts.next_back()) else {
        return pattern == name;
    };
    let middle = name.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    let rest = parts.try_fold(middle.unwrap_or_default(), |rest, part| {
        rest.split_once(part).map(|(_, after)| after)
    });
    !hidden && middle.is_some() && rest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        };
        check("*.toml", "a.toml", true);
        check("*.toml", ".toml", false);
        check("*.toml", "a.toml~", false);
        check("1*-*.toml", "10-apis.toml", true);
        check("1*-*.toml", "1.toml", false);
        check("a*a", "a", false);
        check("*", "x", true);
        check("*", ".hidden", false);
        check(".*", ".hidden", true);
        check("a*b*c", "abbc", true);
    }
}
