//! What a question finds, as rows; what holds of any question over any documents.

use proptest::prelude::*;

use super::*;

const fn document<'a>(
    operation: &'a str,
    method: &'a str,
    path: &'a str,
    summary: &'a str,
    description: &'a str,
) -> Document<'a> {
    Document { tool: operation, operation, method, path, summary, description, tags: &[] }
}

const DOCUMENTS: [Document<'static>; 9] = [
    document("list_payments", "GET", "/payments", "List payments", ""),
    document("create_payment", "POST", "/payments", "Create a payment", ""),
    document(
        "create_refund",
        "POST",
        "/payments/{id}/refunds",
        "Refund a payment",
        "In part or whole.",
    ),
    document("getOnCall", "GET", "/oncall/current", "Who has the pager", ""),
    document("rotate_api_key", "POST", "/api-keys/{id}/rotate", "Rotate a key", "Of an API."),
    document("verify_policies", "POST", "/policies/verification", "", ""),
    document("delete_user", "DELETE", "/users/{user_id}", "Delete a user", ""),
    document("straße_suchen", "GET", "/straßen", "Straße suchen", "Ищет улицы"),
    document("x", "GET", "/x", "東京 天気", ""),
];

fn names(query: &str) -> Vec<&'static str> {
    let index = Index::new(DOCUMENTS);
    let hits = index.search(query, |_| true, 3);
    hits.iter().map(|hit| DOCUMENTS[hit.index].operation).collect()
}

#[test]
fn a_question_finds_its_operation_first() {
    let check = |query: &str, expected: &str| {
        assert_eq!(names(query).first(), Some(&expected), "{query}");
    };
    check("list_payments", "list_payments");
    check("platform.createRefund", "create_refund");
    check("REFUNDS", "create_refund");
    check("refunding the payment", "create_refund");
    check("show payments", "list_payments");
    check("add a payment", "create_payment");
    check("who is on call", "getOnCall");
    check("on-call", "getOnCall");
    // Two words for one, one for two, the beginning of one, a slip.
    check("rotate apikeys", "rotate_api_key");
    check("verif", "verify_policies");
    check("policy verifications", "verify_policies");
    check("refnud", "create_refund");
    check("create_paymant", "create_payment");
    // Another word for it.
    check("erase an account", "delete_user");
    check("reimburse", "create_refund");
    check("STRASSE strasse straße", "straße_suchen");
    check("УЛИЦЫ", "straße_suchen");
    check("天気", "x");
}

#[test]
fn a_question_of_nothing_finds_nothing() {
    for query in ["", " ", "the of a", "?!", "zzzzzzzz", "i", "\u{1}", "\0"] {
        assert_eq!(names(query), [""; 0], "{query:?}");
    }
    assert_eq!(Index::default().search("payments", |_| true, 5), []);
    assert_eq!(Index::new(DOCUMENTS).search("payments", |_| true, 0), []);
}

#[test]
fn equals_come_in_their_order() {
    let same = document("a", "GET", "/things", "Things", "");
    let hits = Index::new(vec![same; 9]).search("things", |at| at != 2, 4);
    assert_eq!(hits.iter().map(|hit| hit.index).collect::<Vec<_>>(), [0, 1, 3, 4]);
}

#[test]
fn only_who_would_be_in_the_answer_is_asked_for() {
    let asked = std::cell::Cell::new(0);
    let visible = |_| {
        asked.set(asked.get() + 1);
        true
    };
    let hits = Index::new(DOCUMENTS).search("rotate", visible, 5);
    assert_eq!((hits.len(), asked.get()), (1, 1));
}

#[test]
fn words_are_split_where_they_begin() {
    let check = |text: &str, expected: &[&str]| {
        let mut found = Vec::new();
        words::each(text, |word| found.push(word.to_owned()));
        assert_eq!(found, expected, "{text}");
    };
    check(
        "payInvoice pay_invoice pay-invoice",
        &["pay", "invoice", "pay", "invoice", "pay", "invoice"],
    );
    check("/v1/HTTPServers/{server_id}", &["v1", "http", "servers", "server", "id"]);
    check("customer's 2FA, oauth2", &["customer", "2fa", "oauth2"]);
    check("Ünïcode ΣΊΣΥΦΟΣ", &["ünïcode", "σίσυφοσ"]);
    check(&"x".repeat(99), &[&"x".repeat(WORD_BYTES_MAX)]);
}

#[test]
fn forms_of_a_word_have_one_stem() {
    let check = |forms: &[&str]| {
        let stems: Vec<String> = forms.iter().map(|form| stemmed(form)).collect();
        assert!(stems.iter().all(|stem| *stem == stems[0]), "{forms:?}: {stems:?}");
    };
    check(&["invoice", "invoices", "invoiced", "invoicing"]);
    check(&["policy", "policies"]);
    check(&["verify", "verifies", "verified", "verifying", "verification"]);
    check(&["cancel", "cancels", "cancelled", "canceled", "cancelling", "cancellation"]);
    check(&["activate", "activated", "activation", "activating"]);
    check(&["rotate", "rotates", "rotating", "rotation"]);
    check(&["subscribe", "subscribed", "subscription", "subscriptions"]);
    check(&["pay", "pays", "paid", "payment", "payments", "paying"]);
    check(&["ship", "shipped", "shipping", "shipment"]);
    check(&["address", "addresses"]);
    check(&["status", "statuses"]);
    check(&["approve", "approved", "approval"]);
    check(&["lose", "lost", "losing"]);
    check(&["transaction", "transactions"]);
    let differ = [("set", "settings"), ("string", "str"), ("comment", "com"), ("user", "use")];
    for (a, b) in differ {
        assert_ne!(stemmed(a), stemmed(b));
    }
}

fn stemmed(word: &str) -> String {
    let mut word = word.to_owned();
    stem::stem(&mut word);
    word
}

#[test]
fn a_document_is_bounded() {
    let long: Vec<String> = (0..20_000).map(|n| format!("word{n:x}")).collect();
    let long = long.join(" ");
    let index = Index::new([document("a", "GET", "/a", &long, &long)]);
    assert_eq!(index.terms.len(), DOCUMENT_WORDS_MAX);
    // So is a question: what comes after its bounds is not read.
    let question = "y".repeat(QUERY_BYTES_MAX) + " word1";
    assert_eq!(index.search(&question, |_| true, 5), []);
    let words: Vec<String> = (0..QUERY_WORDS_MAX).map(|n| format!("y{n}")).collect();
    assert_eq!(index.search(&(words.join(" ") + " word1"), |_| true, 5), []);
    assert_eq!(index.search("word1", |_| true, 5).len(), 1);
}

/// Texts of words that documents have, of slips, and of anything.
fn text() -> impl Strategy<Value = String> {
    let known =
        "(pay|payments|createRefund|on-call|refnud|users?|get|the|Ünï|東京|/x/\\{id\\}| ){0,12}";
    prop_oneof![known, any::<String>(), "\\PC{0,40}"]
}

fn documents() -> impl Strategy<Value = Vec<[String; 6]>> {
    proptest::collection::vec([text(), text(), text(), text(), text(), text()], 0..12)
}

fn indexed(texts: &[[String; 6]]) -> Index {
    let tags: Vec<Box<[Box<str>]>> =
        texts.iter().map(|[.., tag]| Box::from([tag.as_str().into()])).collect();
    let documents =
        texts.iter().zip(&tags).map(|([name, method, path, summary, words, _], tags)| Document {
            tags,
            ..document(name, method, path, summary, words)
        });
    Index::new(documents)
}

proptest! {
    // An index is slow to build without optimisation.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_answer_is_sorted_and_the_same_again(
        texts in documents(), query in text(), most in 0..14_usize, hidden in any::<u16>()
    ) {
        let index = indexed(&texts);
        let visible = |at: usize| hidden >> at & 1 == 0;
        let hits = index.search(&query, visible, most);
        prop_assert!(hits.len() <= most);
        prop_assert!(hits.iter().all(|hit| visible(hit.index) && hit.index < texts.len()));
        prop_assert!(hits.iter().all(|hit| hit.score > 0.0 && hit.score.is_finite()));
        let in_order = |a: &Hit, b: &Hit| (b.score, a.index) < (a.score, b.index);
        prop_assert!(hits.is_sorted_by(in_order), "{hits:?}");
        // Neither what is hidden nor how many are wanted changes what is found.
        let all = index.search(&query, |_| true, usize::MAX);
        let shown: Vec<Hit> = all.into_iter().filter(|hit| visible(hit.index)).take(most).collect();
        prop_assert_eq!(&hits, &shown);
        prop_assert_eq!(&hits, &indexed(&texts).search(&query, visible, most));
    }

    #[test]
    fn scores_do_not_depend_on_the_order_of_documents(
        texts in documents(), query in text(), by in 0..12_usize
    ) {
        let hits = indexed(&texts).search(&query, |_| true, usize::MAX);
        let mut turned = texts.clone();
        turned.rotate_left(by % texts.len().max(1));
        let turned_hits = indexed(&turned).search(&query, |_| true, usize::MAX);
        prop_assert_eq!(hits.len(), turned_hits.len());
        for Hit { index, score } in hits {
            let at = (index + texts.len() - by % texts.len()) % texts.len();
            let other = turned_hits.iter().find(|hit| hit.index == at).map_or(0.0, |hit| hit.score);
            prop_assert!((score - other).abs() <= score * 1e-4, "{score} {other}");
        }
    }

    #[test]
    fn slips_are_seen_both_ways(word in "[a-zß東]{0,6}", at in 0..6_usize, letter in "[a-zß東]") {
        let mut longer: Vec<char> = word.chars().collect();
        longer.insert(at.min(longer.len()), letter.chars().next().unwrap_or('a'));
        let longer: String = longer.into_iter().collect();
        prop_assert!(words::is_near(&word, &longer) && words::is_near(&longer, &word));
        let two_longer = longer + &letter;
        prop_assert!(!words::is_near(&word, &two_longer));
    }
}
