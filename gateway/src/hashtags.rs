//! What a post's text refers to: topics (`#name`) and people (`@name`), each only where a word begins.

use events::text_limits::{CONTENT_MAX, HASHTAGS_MAX, MENTIONS_MAX};
use events::{Content, Hashtags, Username};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The hashtags of a text: `#` and letters, digits, `_`, not digits only; folded, distinct, the first
/// [`HASHTAGS_MAX`].
pub(crate) fn hashtags(content: &Content) -> Hashtags {
    let mut found = Vec::new();
    for word in words_after('#', content.as_str(), is_word) {
        let tag = folded(word);
        if is_hashtag(&tag) && !found.contains(&tag) {
            found.push(tag);
            if found.len() == HASHTAGS_MAX {
                break;
            }
        }
    }
    Hashtags(found)
}

/// A hashtag that stands alone, without its `#`, folded; `None` if it could not stand in a post.
pub(crate) fn parse_hashtag(text: &str) -> Option<String> {
    let fits = text.chars().all(is_word) && text.chars().take(CONTENT_MAX).count() < CONTENT_MAX;
    Some(folded(text)).filter(|tag| fits && is_hashtag(tag))
}

fn is_hashtag(folded: &str) -> bool {
    !folded.is_empty() && !folded.chars().all(char::is_numeric)
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

/// One form for all spellings: NFKC, and lower, upper and lower case again of each character, which brings together what Unicode's
/// case folding does (`ß` and `SS`, `σ` and `ς`). What NFKC takes apart into more than letters and digits (`½`, `⑴`) keeps
/// these, so that the form is a hashtag again.
fn folded(tag: &str) -> String {
    // `ẞ` is upper case already, and only `ß` becomes `SS`.
    let upper = tag.nfkc().flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).nfkc().filter(|c| is_word(*c)).collect()
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
        assert_eq!(tags("#STRASSE #STRAẞE #straße #ΟΔΟΣ #οδος"), ["strasse", "οδοσ"]);
        assert_eq!(tags("#ﬁsh"), ["fish"]);
    }

    #[test]
    fn a_folded_hashtag_is_one_and_folds_to_itself() {
        for c in ('\0'..=char::MAX).filter(|c| is_word(*c)) {
            let tag = folded(&format!("x{c}x"));
            assert_eq!(parse_hashtag(&tag).as_deref(), Some(tag.as_str()), "{c:?}");
        }
    }

    #[test]
    fn a_hashtag_that_stands_alone_is_what_it_is_in_a_post() {
        for text in ["Rust", "２fast", "U\u{308}ber", "_", "日本語", "½a"] {
            assert_eq!(parse_hashtag(text).as_ref(), tags(&format!("#{text}")).first(), "{text}");
        }
        for text in ["", "#rust", "a b", "a-b", "2024", "٢٠٢٤", "a\0", "½", &"x".repeat(CONTENT_MAX)] {
            assert_eq!(parse_hashtag(text), None, "{text}");
        }
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
