//! The words of a question, bounded: each once, by its stem, and two neighbours as one word where the documents
//! write them so. It knows the documents only by whether they have a word.

use super::{METHOD, QUERY_BYTES_MAX, QUERY_WORDS_MAX, SUBORDINATE, WORD_BYTES_MAX};
use super::{lexicon, stem, words};

#[derive(Debug)]
pub(super) struct Asked {
    pub(super) stem: Box<str>,
    pub(super) kind: Kind,
    /// How much it counts.
    pub(super) factor: f32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Word,
    /// It stands for a method and nothing else.
    Method,
}

/// `is_known` says whether a stem stands for something in the documents.
pub(super) fn read(query: &str, is_known: impl Fn(&str) -> bool) -> Vec<Asked> {
    let query = query.get(..query.floor_char_boundary(QUERY_BYTES_MAX)).unwrap_or_default();
    let mut question = Question { asked: Vec::new(), factor: 1.0 };
    let mut before = String::new();
    words::each(query, |word| {
        if !before.is_empty() && before.len() + word.len() <= WORD_BYTES_MAX {
            // `on call`, where documents say `oncall`.
            before.push_str(word);
            stem::stem(&mut before);
            if is_known(&before) {
                question.push(&before, Kind::Word);
            }
        }
        question.verb(word, before.is_empty());
        before.clear();
        before.push_str(word);
        if lexicon::is_conjunction(word) && question.has_words() {
            question.factor = SUBORDINATE;
        }
        if !lexicon::is_stop(word) {
            let mut own = word.to_owned();
            stem::stem(&mut own);
            question.push(&own, Kind::Word);
        }
    });
    question.asked
}

struct Question {
    asked: Vec<Asked>,
    /// Of the clause.
    factor: f32,
}

impl Question {
    /// The first verb says what is wanted; later ones may tell why.
    fn verb(&mut self, word: &str, is_first: bool) {
        if self.asked.iter().any(|asked| asked.kind == Kind::Method) {
            return;
        }
        let of_determiner = || lexicon::of_determiner(word).filter(|_| is_first);
        if let Some(method) = lexicon::of_verb(word).or_else(of_determiner) {
            self.push(method, Kind::Method);
        }
    }

    fn push(&mut self, stem: &str, kind: Kind) {
        let is_new = self.asked.iter().all(|asked| *asked.stem != *stem);
        if is_new && self.asked.len() < QUERY_WORDS_MAX {
            let factor = match kind {
                Kind::Word => self.factor,
                Kind::Method => METHOD,
            };
            self.asked.push(Asked { stem: stem.into(), kind, factor });
        }
    }

    fn has_words(&self) -> bool {
        self.asked.iter().any(|asked| asked.kind == Kind::Word)
    }
}
