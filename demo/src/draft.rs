//! The text of a post, made of parts that know what they mean, so that the expected hashtags and mentions follow from
//! how the text was made and not from a second parser.
//!
//! Parts are joined by single spaces. Some are traps: they look like a hashtag or a mention and are none.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::names::Names;

/// How many hashtags, and how many mentions, of a post count; the rest is text.
const COUNTED_MAX: usize = 30;
/// How many topics people write about, besides those of [`TAGS`].
const TOPICS: usize = 300;
/// One post in so many has more hashtags than count, and one in so many more mentions than count.
const CROWDED_ONE_IN: u32 = 250;

const WORDS: [&str; 24] = [
    "today", "the", "river", "was", "quiet", "again,", "and", "nobody", "asked", "why", "we", "left", "early.",
    "Coffee", "first,", "then", "the", "news:", "rain", "until", "Monday", "…", "🦀", "naïve",
];

/// (as written, as the server must list it): NFKC and lower-case, without punctuation around it.
const TAGS: [(&str, &str); 16] = [
    ("#rust", "rust"),
    ("#Rust", "rust"),
    ("#RUST,", "rust"),
    ("(#nested)", "nested"),
    ("##double", "double"),
    ("#c_sharp", "c_sharp"),
    ("#v2.", "v2"),
    ("#2fast", "2fast"),
    ("#日本語", "日本語"),
    ("#Привет!", "привет"),
    ("#Ｗｉｄｅ", "wide"),
    ("#ﬁsh", "fish"),
    ("#ÜBER", "über"),
    ("#semi;colon", "semi"),
    ("\n#newline", "newline"),
    ("\"#quoted\"", "quoted"),
];

const TRAPS: [&str; 8] = ["#2024", "a#b", "C#", "#", "1#1st", "_#no", "@ab", "@"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(&'static str),
    Tag {
        written: &'static str,
        tag: &'static str,
    },
    Topic(usize),
    Mention {
        person: usize,
        after: &'static str,
    },
    /// A mention of a username that nobody has.
    Nobody,
    /// Somebody's username with more letters behind it: another name, which nobody has.
    Longer(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    parts: Vec<Part>,
}

impl Draft {
    /// A text that mentions some of `people`; who may be mentioned must never change their name.
    pub(crate) fn new(people: &[usize], rng: &mut StdRng) -> Self {
        let mut parts = vec![Part::Text(word(rng))];
        for _ in 0..rng.random_range(2..14) {
            parts.push(Part::Text(word(rng)));
            match rng.random_range(0..100) {
                0..12 => parts.push(Part::Topic(topic(rng))),
                12..17 => {
                    let (written, tag) = TAGS[rng.random_range(0..TAGS.len())];
                    parts.push(Part::Tag { written, tag });
                }
                17..19 => parts.push(Part::Text(TRAPS.choose(rng).copied().unwrap_or("#"))),
                19 => parts.push(Part::Nobody),
                20..28 => parts.extend(mention(people, rng)),
                28 => parts.extend(people.choose(rng).map(|person| Part::Longer(*person))),
                _ => {}
            }
        }
        if rng.random_ratio(1, CROWDED_ONE_IN) {
            parts.extend((0..COUNTED_MAX + 5).map(Part::Topic));
        }
        if rng.random_ratio(1, CROWDED_ONE_IN) {
            parts.extend((0..COUNTED_MAX + 15).filter_map(|_| mention(people, rng)));
        }
        parts.push(Part::Text(word(rng)));
        Self { parts }
    }

    #[cfg(test)]
    pub(crate) fn about(topic: usize, person: usize) -> Self {
        Self { parts: vec![Part::Topic(topic), Part::Mention { person, after: "" }] }
    }

    pub(crate) fn text(&self, names: &Names) -> String {
        let parts: Vec<String> = self.parts.iter().map(|part| part.text(names)).collect();
        parts.join(" ")
    }

    /// Distinct, in order of first appearance.
    pub(crate) fn hashtags(&self) -> Vec<String> {
        let tags = self.parts.iter().filter_map(|part| match part {
            Part::Tag { tag, .. } => Some((*tag).to_owned()),
            Part::Topic(topic) => Some(format!("topic{topic}")),
            Part::Text(_) | Part::Mention { .. } | Part::Nobody | Part::Longer(_) => None,
        });
        distinct(tags)
    }

    /// Distinct, in order of first appearance.
    pub(crate) fn mentions(&self) -> Vec<usize> {
        let people = self.parts.iter().filter_map(|part| match part {
            Part::Mention { person, .. } => Some(*person),
            Part::Text(_) | Part::Tag { .. } | Part::Topic(_) | Part::Nobody | Part::Longer(_) => None,
        });
        distinct(people)
    }
}

impl Part {
    fn text(&self, names: &Names) -> String {
        match self {
            Self::Text(text) | Self::Tag { written: text, .. } => (*text).to_owned(),
            Self::Topic(topic) => format!("#Topic{topic}"),
            Self::Mention { person, after } => format!("@{}{after}", names.username(*person)),
            Self::Nobody => format!("@{}", names.nobody()),
            Self::Longer(person) => format!("@{}zz", names.username(*person)),
        }
    }
}

/// Some words in a row, for comments and bios.
pub(crate) fn sentence(rng: &mut StdRng) -> String {
    let words: Vec<&str> = (0..rng.random_range(3..12)).map(|_| word(rng)).collect();
    words.join(" ")
}

fn word(rng: &mut StdRng) -> &'static str {
    WORDS[rng.random_range(0..WORDS.len())]
}

/// Low numbers are drawn more often, as some topics are on everybody's mind.
fn topic(rng: &mut StdRng) -> usize {
    let highest = rng.random_range(0..TOPICS);
    rng.random_range(0..=highest)
}

fn mention(people: &[usize], rng: &mut StdRng) -> Option<Part> {
    let after = *["", "", ",", ".", "!", "'s"].choose(rng)?;
    people.choose(rng).map(|person| Part::Mention { person: *person, after })
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if seen.len() < COUNTED_MAX && !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn tag(index: usize) -> Part {
        let (written, tag) = TAGS[index];
        Part::Tag { written, tag }
    }

    #[test]
    fn spellings_of_one_hashtag_are_listed_once_where_the_first_stood() {
        let draft = Draft { parts: vec![tag(3), tag(2), Part::Topic(7), tag(0), tag(1)] };
        assert_eq!(draft.hashtags(), ["nested", "rust", "topic7"]);
    }

    #[test]
    fn mentions_are_distinct_people_in_order_and_nobody_is_none_of_them() {
        let at = |person| Part::Mention { person, after: "," };
        let draft = Draft { parts: vec![at(4), Part::Nobody, at(2), Part::Longer(9), at(4)] };
        assert_eq!(draft.mentions(), [4, 2]);
        let text = draft.text(&Names::of_run("abcdef"));
        assert_eq!(text, "@barbara4_abcdef, @nobody_abcdef @alan2_abcdef, @john9_abcdefzz @barbara4_abcdef,");
    }

    #[test]
    fn only_the_first_thirty_count() {
        let topics = Draft { parts: (0..35).map(Part::Topic).collect() };
        assert_eq!(topics.hashtags().len(), 30);
        assert_eq!(topics.hashtags()[29], "topic29");
    }

    #[test]
    fn traps_are_not_listed() {
        let draft = Draft { parts: TRAPS.map(Part::Text).to_vec() };
        assert!(draft.hashtags().is_empty() && draft.mentions().is_empty());
    }

    #[test]
    fn no_text_begins_or_ends_with_a_blank_or_is_too_long() {
        let mut rng = StdRng::seed_from_u64(3);
        let people: Vec<usize> = (0..100).collect();
        let names = Names::of_a_new_run();
        for _ in 0..2000 {
            let text = Draft::new(&people, &mut rng).text(&names);
            assert_eq!(text.trim(), text);
            assert!((1..5000).contains(&text.chars().count()));
        }
    }
}
