//! From documents to an index: which words stand where, and what each counts. Done once for a config.

use std::collections::BTreeMap;

use super::families::FAMILIES;
use super::{DOCUMENT_WORDS_MAX, Document, Index, KIN, Kin, Posting, Term, lexicon, stem, words};

/// Where a word stands. What says most comes first: of a document that is too long, the end is left out.
#[derive(Clone, Copy, Debug)]
enum Field {
    Method,
    Name,
    /// The last fixed part of the path: what the operation is about.
    Target,
    Summary,
    Tags,
    Path,
    Parameters,
    Description,
}

/// How much a word counts, and how much less in a field that is longer than usual, by field.
const FIELDS: [(f32, f32); 8] = [
    (1.0, 0.0),
    (2.0, 0.5),
    (1.0, 0.3),
    (1.6, 0.5),
    (1.0, 0.3),
    (0.7, 0.5),
    (0.3, 0.5),
    (1.5, 0.5),
];

/// How soon a word that stands there once more counts no more.
const SATURATION: f32 = 1.4;

/// How often a word stands in each field.
type Counts = [f32; FIELDS.len()];

/// The words of one document.
#[derive(Debug, Default)]
struct Words {
    counts: BTreeMap<Box<str>, Counts>,
    lengths: Counts,
}

pub(super) fn index<'a>(documents: impl IntoIterator<Item = Document<'a>>) -> Index {
    let documents: Vec<Words> = documents.into_iter().map(|document| read(&document)).collect();
    let average = average(&documents);
    let mut words: BTreeMap<&str, Vec<Posting>> = BTreeMap::new();
    for (document, Words { counts, lengths }) in (0..).zip(&documents) {
        for (word, counts) in counts {
            let weight = frequency(counts, lengths, &average);
            words.entry(word).or_default().push(Posting { document, weight });
        }
    }
    let mut postings = Vec::new();
    let mut terms = Vec::with_capacity(words.len());
    for (word, mut found) in words {
        let rarity = rarity(found.len(), documents.len());
        for Posting { weight, .. } in &mut found {
            *weight = rarity * *weight / (*weight + SATURATION);
        }
        let start = position(postings.len());
        postings.append(&mut found);
        terms.push(Term { text: word.into(), postings: start..position(postings.len()) });
    }
    let kin = kin(&terms);
    Index { terms: terms.into(), postings: postings.into(), kin, documents: documents.len() }
}

fn read(document: &Document<'_>) -> Words {
    let Document { tool, operation, method, path, summary, description, tags } = document;
    let mut words = Words::default();
    if let Some(verb) = lexicon::of_method(method) {
        words.add(verb, Field::Method);
    }
    words.text(operation, Field::Name);
    // Given names have words of their own; made ones repeat the operation's.
    let known: Vec<Box<str>> = words.counts.keys().cloned().collect();
    words::each_stem(tool, |stem| {
        if !known.iter().any(|known| **known == *stem) {
            words.add(stem, Field::Name);
        }
    });
    let fixed = |part: &&str| !part.contains('{');
    words.text(path.rsplit('/').find(fixed).unwrap_or_default(), Field::Target);
    words.text(summary, Field::Summary);
    tags.iter().for_each(|tag| words.text(tag, Field::Tags));
    for part in path.split('/') {
        words.text(part, if fixed(&part) { Field::Path } else { Field::Parameters });
    }
    // A description begins with its summary, as models are told it.
    words.text(description.strip_prefix(summary).unwrap_or(description), Field::Description);
    words
}

impl Words {
    fn text(&mut self, text: &str, field: Field) {
        words::each_stem(text, |stem| self.add(stem, field));
    }

    fn add(&mut self, stem: &str, field: Field) {
        let room = self.counts.len() < DOCUMENT_WORDS_MAX;
        let counts = match self.counts.get_mut(stem) {
            Some(counts) => counts,
            None if room => self.counts.entry(stem.into()).or_default(),
            None => return,
        };
        let counts = [counts.get_mut(field as usize), self.lengths.get_mut(field as usize)];
        for count in counts.into_iter().flatten() {
            *count += 1.0;
        }
    }
}

/// The usual length of each field, where it is not empty.
fn average(documents: &[Words]) -> Counts {
    let mut sums = [(0.0, 0.0); FIELDS.len()];
    for lengths in documents.iter().map(|words| &words.lengths) {
        for ((sum, found), length) in sums.iter_mut().zip(lengths).filter(|(_, l)| **l > 0.0) {
            *sum += length;
            *found += 1.0;
        }
    }
    sums.map(|(sum, found): (f32, f32)| sum / found.max(1.0))
}

/// How often a word stands in a document, by what its fields count.
fn frequency(counts: &Counts, lengths: &Counts, average: &Counts) -> f32 {
    let fields = counts.iter().zip(lengths).zip(average).zip(FIELDS);
    let fields = fields.filter(|(((count, _), _), _)| **count > 0.0);
    fields
        .map(|(((count, length), average), (weight, by_length))| {
            weight * count / (1.0 - by_length + by_length * length / average)
        })
        .sum()
}

/// Of a word that `found` of `all` documents have.
fn rarity(found: usize, all: usize) -> f32 {
    let (found, all) = (small(found), small(all));
    (1.0 + (all - found + 0.5) / (found + 0.5)).ln()
}

/// Which words that people say stand for which words that there are.
fn kin(terms: &[Term]) -> Box<[Kin]> {
    let mut all: BTreeMap<Box<str>, BTreeMap<u32, f32>> = BTreeMap::new();
    let mut put = |said: &str, meant: &str, factor: f32| {
        let at = terms.binary_search_by(|term| (*term.text).cmp(meant));
        if let (Ok(at), true) = (at, said != meant) {
            let known = all.entry(said.into()).or_default().entry(position(at)).or_default();
            *known = known.max(factor);
        }
    };
    for family in FAMILIES {
        let family: Vec<String> = family.split(' ').map(stemmed).collect();
        for said in &family {
            for meant in &family {
                put(said, meant, KIN);
            }
        }
    }
    let kin = all.into_iter().map(|(text, terms)| Kin { text, terms: terms.into_iter().collect() });
    kin.collect()
}

fn stemmed(word: &str) -> String {
    let mut word = word.to_owned();
    stem::stem(&mut word);
    word
}

/// Documents and their words are counted in thousands.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
const fn small(count: usize) -> f32 {
    count as f32
}
