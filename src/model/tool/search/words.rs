//! Words of a text: split at what is no letter and no digit, and where `camelCase` begins a word; in lower case
//! and by their stems. It knows no language but for its letters.

use super::{WORD_BYTES_MAX, lexicon, stem};

/// Calls `each` with every word, in lower case. Words are of any script; a lone letter or digit is none.
pub(super) fn each(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    let mut before = None;
    while let Some(c) = chars.next() {
        if !c.is_alphanumeric() {
            end(&mut word, &mut each);
            before = None;
            continue;
        }
        // `payInvoice` and `HTTPServer`.
        let begins = c.is_uppercase()
            && before.is_some_and(|before: char| {
                before.is_lowercase()
                    || before.is_uppercase() && chars.peek().is_some_and(|c| c.is_lowercase())
            });
        if begins {
            end(&mut word, &mut each);
        }
        before = Some(c);
        if word.len() < WORD_BYTES_MAX {
            word.extend(c.to_lowercase());
        }
    }
    end(&mut word, &mut each);
}

/// Calls `each` with the stem of every word that says something.
pub(super) fn each_stem(text: &str, mut with: impl FnMut(&str)) {
    let mut stem = String::new();
    each(text, |word| {
        if !lexicon::is_stop(word) {
            stem.clear();
            stem.push_str(word);
            stem::stem(&mut stem);
            with(&stem);
        }
    });
}

fn end(word: &mut String, each: &mut impl FnMut(&str)) {
    if word.len() > 1 {
        each(word);
    }
    word.clear();
}

/// Whether one is the other with one letter too many, another letter, or two neighbours changed about.
pub(super) fn is_near(a: &str, b: &str) -> bool {
    // A letter has at most four bytes; and a slip leaves the beginning or the end alone.
    let (first, last) = (a.as_bytes().first(), a.as_bytes().last());
    let has_end = first == b.as_bytes().first() || last == b.as_bytes().last();
    if a.len().abs_diff(b.len()) > 4 || !has_end && a.len().min(b.len()) > 1 {
        return false;
    }
    let (mut left, mut right) = (a.chars(), b.chars());
    loop {
        let (from_left, from_right) = (left.as_str(), right.as_str());
        match (left.next(), right.next()) {
            (Some(x), Some(y)) if x == y => {}
            (Some(x), Some(y)) => {
                let (rest_left, rest_right) = (left.as_str(), right.as_str());
                let are_swapped = left.next() == Some(y)
                    && right.next() == Some(x)
                    && left.as_str() == right.as_str();
                return rest_left == rest_right
                    || from_left == rest_right
                    || rest_left == from_right
                    || are_swapped;
            }
            (None, None) => return true,
            (Some(_), None) => return left.as_str().is_empty(),
            (None, Some(_)) => return right.as_str().is_empty(),
        }
    }
}
