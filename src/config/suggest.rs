//! "Did you mean": the known word nearest to one that is not known.

/// The known word that a slip of the fingers most likely meant; None when none is near.
pub(super) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_ascii_lowercase();
    // A third of the letters may be wrong, and one in the shortest words.
    let most = (word.chars().count() / 3).max(1);
    let distance = |known: &str| {
        // "grant" for "granted", "list_payments" for "payments.list_payments".
        let part =
            word.len() >= PART_BYTES_MIN && (known.starts_with(&word) || known.ends_with(&word));
        if part { 1 } else { strsim::damerau_levenshtein(&word, &known.to_ascii_lowercase()) }
    };
    let near = known.map(|known| (distance(known), known));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known)
}

/// The fix for an unknown word: the nearest one, else what there is to choose from.
pub(super) fn fix<'w>(word: &str, known: impl Iterator<Item = &'w str> + Clone) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean \"{near}\"?");
    }
    let listed: Vec<&str> = known.clone().take(LISTED_MAX).collect();
    let more = if known.count() > LISTED_MAX { ", …" } else { "" };
    format!("choose from {}{more}", listed.join(", "))
}

/// Shortest part that stands for the whole word.
const PART_BYTES_MIN: usize = 4;
/// Most words that one fix lists.
const LISTED_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_when_it_is_near() {
        let check = |word: &str, expected: Option<&str>| {
            let known = ["listener", "upstream", "api", "product", "plan"].into_iter();
            assert_eq!(nearest(word, known), expected, "{word}");
        };
        check("upstreams", Some("upstream"));
        check("usptream", Some("upstream"));
        check("apis", Some("api"));
        check("issuer", None);
        check("x", None);
        check("API", Some("api"));
        check("prod", Some("product"));
        check("stream", Some("upstream"));
        check("", None);
    }
}
