//! What is known of English: words that say nothing, verbs that ask for a method, words that begin a clause. It
//! knows no API's own words.

/// Say nothing of what is asked for. In order.
const STOP: [&str; 159] = [
    "a",
    "about",
    "after",
    "again",
    "all",
    "also",
    "am",
    "an",
    "and",
    "another",
    "any",
    "anybody",
    "anyone",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "between",
    "both",
    "but",
    "by",
    "can",
    "cannot",
    "could",
    "did",
    "do",
    "does",
    "doing",
    "don",
    "each",
    "eight",
    "every",
    "everyone",
    "few",
    "five",
    "for",
    "four",
    "from",
    "gets",
    "getting",
    "got",
    "had",
    "has",
    "have",
    "he",
    "hello",
    "her",
    "here",
    "hi",
    "him",
    "his",
    "how",
    "hundred",
    "id",
    "ids",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "just",
    "like",
    "ll",
    "many",
    "may",
    "me",
    "might",
    "more",
    "most",
    "much",
    "must",
    "my",
    "need",
    "nine",
    "no",
    "nobody",
    "not",
    "now",
    "of",
    "ok",
    "okay",
    "on",
    "one",
    "ones",
    "only",
    "or",
    "other",
    "our",
    "own",
    "please",
    "pm",
    "re",
    "same",
    "seven",
    "shall",
    "she",
    "should",
    "since",
    "six",
    "so",
    "some",
    "somebody",
    "someone",
    "something",
    "such",
    "ten",
    "than",
    "thank",
    "thanks",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "thousand",
    "three",
    "to",
    "too",
    "two",
    "until",
    "up",
    "us",
    "ve",
    "very",
    "via",
    "want",
    "wants",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "while",
    "who",
    "whom",
    "whose",
    "why",
    "will",
    "with",
    "within",
    "without",
    "would",
    "yes",
    "you",
    "your",
    "yours",
];

/// The terms that no word is, one for the methods that do alike.
const READ: &str = "\u{1}read";
const MAKE: &str = "\u{1}make";
const CHANGE: &str = "\u{1}change";
const DROP: &str = "\u{1}drop";

/// The verbs that ask for a method, in order. A question asks to be told something.
const VERBS: [(&str, &[&str]); 4] = [
    (
        READ,
        &[
            "browse", "check", "display", "download", "fetch", "find", "get", "how", "list",
            "look", "query", "read", "retrieve", "search", "see", "show", "tell", "view", "what",
            "when", "where", "which", "who", "whose", "why",
        ],
    ),
    (
        MAKE,
        &[
            "add", "book", "build", "create", "generate", "insert", "issue", "make", "new", "open",
            "post", "register", "run", "send", "start", "submit",
        ],
    ),
    (
        CHANGE,
        &[
            "adjust",
            "alter",
            "assign",
            "change",
            "configure",
            "edit",
            "modify",
            "move",
            "rename",
            "replace",
            "set",
            "switch",
            "update",
        ],
    ),
    (
        DROP,
        &[
            "clear", "delete", "destroy", "detach", "discard", "drop", "erase", "purge", "remove",
            "revoke", "unassign", "withdraw",
        ],
    ),
];

/// The term that documents with this method have.
pub(super) fn of_method(method: &str) -> Option<&'static str> {
    match method {
        "GET" | "HEAD" => Some(READ),
        "POST" => Some(MAKE),
        "PUT" | "PATCH" => Some(CHANGE),
        "DELETE" => Some(DROP),
        _ => None,
    }
}

/// The term of the method that a verb asks for.
pub(super) fn of_verb(word: &str) -> Option<&'static str> {
    let asks = |(_, verbs): &&(&str, &[&str])| verbs.binary_search(&word).is_ok();
    VERBS.iter().find(asks).map(|(method, _)| *method)
}

/// Of a sentence that begins with what it asks for: `all open invoices`.
pub(super) fn of_determiner(word: &str) -> Option<&'static str> {
    matches!(word, "all" | "any" | "every" | "everything").then_some(READ)
}

/// Begins a clause that tells when or why, after the one that says what.
pub(super) fn is_conjunction(word: &str) -> bool {
    matches!(
        word,
        "after"
            | "because"
            | "before"
            | "if"
            | "once"
            | "since"
            | "unless"
            | "until"
            | "when"
            | "while"
    )
}

pub(super) fn is_stop(word: &str) -> bool {
    STOP.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_is_in_order() {
        assert!(STOP.is_sorted());
        assert!(VERBS.iter().all(|(_, verbs)| verbs.is_sorted()));
    }
}
