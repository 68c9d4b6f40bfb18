//! What a post's text refers to: topics (`#name`) and people (`@name`), each only where a word begins.

use events::text_limits::{HASHTAGS_MAX, MENTIONS_MAX};
use events::{Content, Hashtags, Username};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The hashtags of a text: `#` and letters, digits, `_`, not digits only; folded, distinct, the first
/// [`HASHTAGS_MAX`].
pub(crate) fn hashtags(content: &Content) -> Hashtags {
    let mut found = Vec::new();
    for word in words_after('#', content.as_str(), is_word) {
        let tag = folded(word);
        if !tag.is_empty() && !tag.chars().all(char::is_numeric) && !found.contains(&tag) {
            found.push(tag);
            if found.len() == HASHTAGS_MAX {
                break;
            }
        }
    }
    Hashtags(found)
}

/// The names that a text mentions, folded, distinct; whether anybody has them is another question. Bounded, since each
/// costs a look-up.
pub(crate) fn mentioned(content: &Content) -> Vec<String> {
    let mut found = Vec::new();
    for word in words_after('@', content.as_str(), |c| c.is_ascii_alphanumeric() || c == '_') {
        if let Ok(name) = Username::parse(word).map(|name| name.folded())
            && !found.contains(&name)
        {
            found.push(name);
            if found.len() == NAMES_MAX {
                break;
            }
        }
    }
    found
}

/// Names that are looked up: more than count, as some may be nobody's.
const NAMES_MAX: usize = 4 * MENTIONS_MAX;

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_combining_mark(c)
}

/// What follows each `sign` that does not stand within a word.
fn words_after(sign: char, text: &str, belongs: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.match_indices(sign).filter_map(move |(at, _)| {
        if text[..at].chars().next_back().is_some_and(is_word) {
            return None;
        }
        let rest = &text[at + sign.len_utf8()..];
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

/// One form for all spellings: NFKC, and upper then lower case of each character, which brings together what Unicode's
/// case folding does (`ß` and `SS`, `σ` and `ς`).
fn folded(tag: &str) -> String {
    let upper = tag.nfkc().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<String> {
        hashtags(&Content::parse(text).unwrap()).0
    }

    fn names(text: &str) -> Vec<String> {
        mentioned(&Content::parse(text).unwrap())
    }

    #[test]
    fn spellings_of_one_hashtag_are_one() {
        assert_eq!(tags("#Rust #RUST, (#rust) #Ｒust"), ["rust"]);
        assert_eq!(tags("#ÜBER #U\u{308}ber #über"), ["über"]);
        assert_eq!(tags("#STRASSE #straße #ΟΔΟΣ #οδος"), ["strasse", "οδοσ"]);
        assert_eq!(tags("#ﬁsh"), ["fish"]);
    }

    #[test]
    fn a_hashtag_begins_where_a_word_begins_and_ends_with_it() {
        assert_eq!(
            tags("##double \"#quoted\" #semi;colon\n#new_line 日本#x #日本語。"),
            ["double", "quoted", "semi", "new_line", "日本語"]
        );
        assert!(tags("a#b C# # 1#1st _#no #2024 #２０２４ #٢٠٢٤").is_empty());
        assert_eq!(tags("#2fast"), ["2fast"]);
    }

    #[test]
    fn only_the_first_thirty_count() {
        let text = (0..40).map(|n| format!("#t{n} ")).collect::<String>();
        assert_eq!(tags(&text).len(), HASHTAGS_MAX);
        assert_eq!(tags(&text)[29], "t29");
    }

    #[test]
    fn a_mention_is_a_whole_name() {
        assert_eq!(names("@Ada, @bob! (@ada) @eve's"), ["ada", "bob", "eve"]);
        assert!(names("@ab @ ada@example.com @this_name_is_longer_than_thirty_characters").is_empty());
    }
}
