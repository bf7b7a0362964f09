//! Stems of English words, lightly: what a word and its other forms have in common, not a word itself. A few
//! rules for what stands in names and summaries; a form that they miss is still found by its beginning.

/// Forms that no rule makes, and what they are forms of; some are words of their own. In order.
const FORMS: [(&str, &str); 77] = [
    ("always", "always"),
    ("analyses", "analysis"),
    ("began", "begin"),
    ("begun", "begin"),
    ("bought", "buy"),
    ("broke", "break"),
    ("broken", "break"),
    ("brought", "bring"),
    ("building", "building"),
    ("built", "build"),
    ("came", "come"),
    ("caught", "catch"),
    ("cement", "cement"),
    ("cements", "cement"),
    ("chose", "choose"),
    ("chosen", "choose"),
    ("comment", "comment"),
    ("comments", "comment"),
    ("criteria", "criterion"),
    ("data", "data"),
    ("document", "document"),
    ("documents", "document"),
    ("drawn", "draw"),
    ("during", "during"),
    ("element", "element"),
    ("elements", "element"),
    ("forgot", "forget"),
    ("forgotten", "forget"),
    ("found", "find"),
    ("gave", "give"),
    ("given", "give"),
    ("held", "hold"),
    ("hid", "hide"),
    ("hidden", "hide"),
    ("indices", "index"),
    ("kept", "keep"),
    ("knew", "know"),
    ("known", "know"),
    ("lost", "lose"),
    ("made", "make"),
    ("meant", "mean"),
    ("media", "media"),
    ("met", "meet"),
    ("moment", "moment"),
    ("moments", "moment"),
    ("need", "need"),
    ("news", "news"),
    ("owed", "owe"),
    ("owes", "owe"),
    ("owing", "owe"),
    ("paid", "pay"),
    ("people", "person"),
    ("ran", "run"),
    ("said", "say"),
    ("saw", "see"),
    ("seen", "see"),
    ("segment", "segment"),
    ("segments", "segment"),
    ("sent", "send"),
    ("setting", "setting"),
    ("settings", "setting"),
    ("shown", "show"),
    ("sold", "sell"),
    ("spent", "spend"),
    ("stolen", "steal"),
    ("string", "string"),
    ("taken", "take"),
    ("thought", "think"),
    ("told", "tell"),
    ("took", "take"),
    ("understood", "understand"),
    ("usage", "use"),
    ("used", "use"),
    ("using", "use"),
    ("went", "go"),
    ("written", "write"),
    ("wrote", "write"),
];

/// Endings of nouns, and what stays: `verification` is of `verify`.
const NOUNS: [(&str, &str, usize); 8] = [
    ("ification", "ify", 2),
    ("ription", "rib", 2),
    ("ment", "", 3),
    ("ation", "", 3),
    ("sion", "s", 3),
    ("tion", "t", 3),
    ("ability", "abl", 3),
    ("rral", "r", 2),
];

/// The word's stem in its place. Words of other scripts are left as they are.
pub(super) fn stem(word: &mut String) {
    if word.len() < 3 || !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return;
    }
    if let Ok(at) = FORMS.binary_search_by_key(&&**word, |(form, _)| form) {
        let of = FORMS.get(at).map_or("", |(_, of)| of);
        word.clear();
        word.push_str(of);
        // What it is a form of has a stem too: `lose`.
        return end(word, false);
    }
    plural(word);
    let verb = verb(word);
    adverb(word);
    let noun = noun(word);
    end(word, verb || noun);
}

fn plural(word: &mut String) {
    if replace(word, "ies", "y", 2) {
        return;
    }
    if ["sses", "ches", "shes", "xes", "uses"].iter().any(|ending| word.ends_with(ending)) {
        word.truncate(word.len() - 2);
    } else if word.ends_with('s') && !["ss", "us", "is"].iter().any(|kept| word.ends_with(kept)) {
        word.pop();
    }
}

/// Whether it was a form of a verb.
fn verb(word: &mut String) -> bool {
    if replace(word, "ied", "y", 2) {
        return false;
    }
    ["ing", "ed"].iter().any(|ending| {
        let Some(rest) = word.strip_suffix(ending) else { return false };
        let is_form = rest.len() >= 3 && rest.contains(is_vowel) && !rest.ends_with('e');
        if is_form {
            word.truncate(rest.len());
        }
        is_form
    })
}

fn adverb(word: &mut String) {
    replace(word, "ly", "", 5);
}

/// Whether it was a noun made of a verb in `-ate`, as it may be.
fn noun(word: &mut String) -> bool {
    for ending in ["val", "wal"] {
        if word.len() > 5 && word.ends_with(ending) {
            word.truncate(word.len() - 2);
        }
    }
    NOUNS.iter().any(|(ending, stays, rest_min)| {
        replace(word, ending, stays, *rest_min) && ending.ends_with("tion")
    })
}

/// A silent `e`, `-ate`, and one of two equal letters go.
fn end(word: &mut String, was_form: bool) {
    let dropped = word.len() > 3 && word.ends_with('e') && word.pop().is_some();
    if (dropped || was_form) && word.ends_with("at") && word.len() > 4 {
        word.truncate(word.len() - 2);
    }
    let mut last = word.bytes().rev();
    if word.len() > 3 && last.next() == last.next() {
        word.pop();
    }
}

fn replace(word: &mut String, ending: &str, with: &str, rest_min: usize) -> bool {
    let rest = word.strip_suffix(ending).map(str::len).filter(|rest| *rest >= rest_min);
    if let Some(rest) = rest {
        word.truncate(rest);
        word.push_str(with);
    }
    rest.is_some()
}

const fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}
