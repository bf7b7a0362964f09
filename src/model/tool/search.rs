//! Search over operations: which of a catalogue's tools a sentence asks for. An index is built when a config is
//! loaded and only read from then on. No I/O, no clock, no chance: the same question has the same answer.
//!
//! Words are ranked by BM25F: a word counts by how few documents have it and by the field that it stands in.
//! It does not know who asks; `visible` says what they may see.

mod build;
mod families;
mod lexicon;
mod question;
mod stem;
#[cfg(test)]
mod tests;
mod words;

use std::ops::Range;

use question::{Asked, Kind};

/// Bytes of a question that are read.
pub const QUERY_BYTES_MAX: usize = 1024;
/// Different words of a question that are looked up; stop words are none.
pub const QUERY_WORDS_MAX: usize = 16;
/// Different words of a document that are kept, in order of its fields: 8 bytes each, and for a word that no other
/// document has 24 more and its text, of about [`WORD_BYTES_MAX`]. 1,000 operations with a sentence each take 100
/// to 200 KB; the most is 10 KB for an operation.
pub const DOCUMENT_WORDS_MAX: usize = 128;
/// A longer word is cut.
pub const WORD_BYTES_MAX: usize = 40;

/// How much a match counts beside the very word.
const KIN: f32 = 0.6;
/// The method that a verb asks for.
const METHOD: f32 = 0.6;
/// Words of a clause that tells when or why.
const SUBORDINATE: f32 = 0.6;
const PREFIX: f32 = 0.4;
const SPLIT: f32 = 0.7;
const TYPO: f32 = 0.6;

/// Shorter words begin too many others.
const PREFIX_CHARS_MIN: usize = 3;
/// Longer words that one word may stand for.
const PREFIXES_MAX: usize = 8;
/// A shorter word is another word with one letter changed.
const TYPO_CHARS_MIN: usize = 5;
/// Looking for a slip costs a walk over all words: no more of a question are helped.
const TYPOS_MAX: usize = 2;

/// What is known of one operation.
#[derive(Clone, Debug, Default)]
pub struct Document<'a> {
    pub tool: &'a str,
    /// `api.operation`
    pub operation: &'a str,
    pub method: &'a str,
    /// The template with its base path: `/payments/{id}`.
    pub path: &'a str,
    pub summary: &'a str,
    pub description: &'a str,
    pub tags: &'a [Box<str>],
}

/// A document that a question matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The document's position among those that the index was built of.
    pub index: usize,
    /// Above 0. Comparable within one answer only.
    pub score: f32,
}

/// The words of all documents.
#[derive(Debug, Default)]
pub struct Index {
    /// In order of their texts.
    terms: Box<[Term]>,
    postings: Box<[Posting]>,
    /// Words that people say for words of the documents, in order of their texts.
    kin: Box<[Kin]>,
    documents: usize,
}

#[derive(Debug)]
struct Term {
    text: Box<str>,
    /// Of [`Index::postings`].
    postings: Range<u32>,
}

/// A document with a word, and what the word counts there, computed when the index is built.
#[derive(Clone, Copy, Debug)]
struct Posting {
    document: u32,
    weight: f32,
}

#[derive(Debug)]
struct Kin {
    text: Box<str>,
    /// Positions in [`Index::terms`], and how much a match counts.
    terms: Box<[(u32, f32)]>,
}

/// What a document has so far. Of all that one word of the question stands for, the best counts.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    of_words: f32,
    of_word: f32,
    word: u32,
}

impl Index {
    /// Hits are told by positions in `documents`.
    pub fn new<'a>(documents: impl IntoIterator<Item = Document<'a>>) -> Self {
        build::index(documents)
    }

    /// The best `most` of the visible documents that the question matches, best first; of equals, the first
    /// one. `visible` is asked only of those that would be in the answer.
    pub fn search(&self, query: &str, visible: impl Fn(usize) -> bool, most: usize) -> Vec<Hit> {
        let question = question::read(query, |joined| {
            self.exact(joined).is_some() || !self.kin(joined).is_empty()
        });
        let mut sums = vec![Sum::default(); self.documents];
        let mut typos_left = TYPOS_MAX;
        for (word, asked) in (1..).zip(&question) {
            self.word(asked, &mut typos_left, |term, factor| {
                self.add(&mut sums, word, term, asked.factor * factor);
            });
        }
        best(&sums, visible, most)
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let terms = self.terms.iter().map(|term| size_of::<Term>() + term.text.len());
        let kin =
            self.kin.iter().map(|kin| size_of::<Kin>() + kin.text.len() + size_of_val(&*kin.terms));
        terms.sum::<usize>() + kin.sum::<usize>() + size_of_val(&*self.postings)
    }

    /// All that a word of the question stands for.
    fn word(&self, asked: &Asked, typos_left: &mut usize, mut add: impl FnMut(usize, f32)) {
        let from = self.terms.partition_point(|term| *term.text < *asked.stem);
        let exact = self.terms.get(from).is_some_and(|term| *term.text == *asked.stem);
        let mut found = exact;
        if exact {
            add(from, 1.0);
        }
        if asked.kind == Kind::Method {
            return;
        }
        for (term, factor) in self.kin(&asked.stem) {
            add(*term as usize, *factor);
            found = true;
        }
        let chars = asked.stem.chars().count();
        if chars >= PREFIX_CHARS_MIN {
            let longer = self.terms.iter().enumerate().skip(from + usize::from(exact));
            let longer = longer.take_while(|(_, term)| term.text.starts_with(&*asked.stem));
            for (term, _) in longer.take(PREFIXES_MAX) {
                add(term, PREFIX);
                found = true;
            }
        }
        if found || self.halves(&asked.stem, &mut add) || chars < TYPO_CHARS_MIN {
            return;
        }
        if *typos_left > 0 && asked.stem.chars().all(char::is_alphabetic) {
            *typos_left -= 1;
            let near = |(_, term): &(usize, &Term)| words::is_near(&term.text, &asked.stem);
            for (term, _) in self.terms.iter().enumerate().filter(near).take(PREFIXES_MAX) {
                add(term, TYPO);
            }
        }
    }

    /// A word that is two words here: `apikey`. Whether it is.
    fn halves(&self, stem: &str, add: &mut impl FnMut(usize, f32)) -> bool {
        for (at, _) in stem.char_indices().skip(2) {
            let Some((left, right)) = stem.split_at_checked(at) else { continue };
            if right.len() < 2 {
                break;
            }
            let Some(right) = self.exact(right) else { continue };
            let mut left = left.to_owned();
            let is_stop = lexicon::is_stop(&left);
            stem::stem(&mut left);
            let left = self.exact(&left);
            if left.is_some() || is_stop {
                left.into_iter().chain([right]).for_each(|term| add(term, SPLIT));
                return true;
            }
        }
        false
    }

    fn exact(&self, stem: &str) -> Option<usize> {
        self.terms.binary_search_by(|term| (*term.text).cmp(stem)).ok()
    }

    fn kin(&self, stem: &str) -> &[(u32, f32)] {
        let at = self.kin.binary_search_by(|kin| (*kin.text).cmp(stem)).ok();
        at.and_then(|at| self.kin.get(at)).map_or(&[], |kin| &kin.terms)
    }

    fn add(&self, sums: &mut [Sum], word: u32, term: usize, factor: f32) {
        let Some(Term { postings: Range { start, end }, .. }) = self.terms.get(term) else {
            return;
        };
        let postings = self.postings.get(*start as usize..*end as usize).unwrap_or_default();
        for Posting { document, weight } in postings {
            let Some(sum) = sums.get_mut(*document as usize) else { continue };
            let weight = weight * factor;
            if sum.word != word {
                sum.of_words += sum.of_word;
                (sum.word, sum.of_word) = (word, weight);
            } else if weight > sum.of_word {
                sum.of_word = weight;
            }
        }
    }
}

fn best(sums: &[Sum], visible: impl Fn(usize) -> bool, most: usize) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::with_capacity(most.min(sums.len()).saturating_add(1));
    for (index, sum) in sums.iter().enumerate().filter(|(_, sum)| sum.word != 0) {
        let score = sum.of_words + sum.of_word;
        let worst =
            if hits.len() < most { 0.0 } else { hits.last().map_or(f32::MAX, |hit| hit.score) };
        if score > worst && visible(index) {
            let at = hits.partition_point(|hit| hit.score >= score);
            hits.insert(at, Hit { index, score });
            hits.truncate(most);
        }
    }
    hits
}
