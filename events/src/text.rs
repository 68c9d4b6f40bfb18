//! What people type, parsed once at the edge: a value of these types satisfies its rules.
//!
//! The limits count Unicode code points. The API's document publishes them from these constants.

use crate::{Sealable, UserId};
use serde::{Deserialize, Serialize};

/// Limits in Unicode code points, published in the API's document.
pub mod text_limits {
    /// A post's content.
    pub const CONTENT_MAX: usize = 5_000;
    /// A comment's text.
    pub const COMMENT_MAX: usize = 2_000;
    /// A profile's bio.
    pub const BIO_MAX: usize = 500;
    /// A username, shortest.
    pub const USERNAME_MIN: usize = 3;
    /// A username, longest.
    pub const USERNAME_MAX: usize = 30;
    /// An email address.
    pub const EMAIL_MAX: usize = 254;
    /// What is kept of what a client calls itself.
    pub const DEVICE_MAX: usize = 200;
    /// Hashtags taken from one post; further ones are text.
    pub const HASHTAGS_MAX: usize = 30;
    /// Mentions taken from one post; further ones are text.
    pub const MENTIONS_MAX: usize = 30;
}
use text_limits::*;

/// The rule that a text breaks, worded for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(pub String);

fn wrong<T>(message: impl Into<String>) -> Result<T, TextError> {
    Err(TextError(message.into()))
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Sealable for $name {
            const FIELD: &'static str = $field;
        }

        impl std::fmt::Debug for $name {
            // Never the text: it would end in a log line.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes)"), self.0.len())
            }
        }
    };
}

text!(
    /// An address: dot-atom, at most 254 characters, neither quoted nor looked up.
    Email,
    "user.email"
);
text!(
    /// A name: `[A-Za-z0-9_]{3,30}`, unique without regard to case.
    Username,
    "user.username"
);
text!(
    /// What a profile says about its owner.
    Bio,
    "user.bio"
);
text!(
    /// What a client calls itself when it signs in: one line of at most 200 characters.
    Device,
    "session.device"
);
text!(
    /// A password as Argon2id left it (PHC string).
    PasswordHash,
    "user.password"
);
text!(
    /// What a post says.
    Content,
    "post.content"
);
text!(
    /// What a comment says.
    CommentText,
    "comment.text"
);

/// The hashtags of a post: folded, distinct, in the order of first appearance.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashtags(pub Vec<String>);

impl Sealable for Hashtags {
    const FIELD: &'static str = "post.hashtags";
}

/// Whom a post mentions, as resolved when it was written: distinct, in the order of first appearance.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mentions(pub Vec<UserId>);

impl Sealable for Mentions {
    const FIELD: &'static str = "post.mentions";
}

fn prose(text: &str, what: &str, max: usize) -> Result<String, TextError> {
    if text.chars().all(char::is_whitespace) {
        return wrong(format!("{what} cannot be empty"));
    }
    if text.contains('\0') {
        return wrong(format!("{what} cannot contain U+0000"));
    }
    if text.chars().count() > max {
        return wrong(format!("{what} cannot be longer than {max} characters"));
    }
    Ok(text.to_owned())
}

impl Content {
    /// A post's content.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        prose(text, "Content", CONTENT_MAX).map(Self)
    }
}

impl CommentText {
    /// A comment's text.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        prose(text, "Text", COMMENT_MAX).map(Self)
    }
}

impl Bio {
    /// A profile's bio.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        prose(text, "Bio", BIO_MAX).map(Self)
    }
}

impl Device {
    /// What a client calls itself, cut to [`DEVICE_MAX`] characters and to what can be shown; `None` if nothing is left.
    pub fn of(text: &str) -> Option<Self> {
        let shown = text.chars().filter(|c| !c.is_control()).take(DEVICE_MAX).collect::<String>();
        let shown = shown.trim();
        (!shown.is_empty()).then(|| Self(shown.to_owned()))
    }
}

impl PasswordHash {
    /// A PHC string, as the password hasher wrote it.
    pub fn new(phc: String) -> Self {
        Self(phc)
    }
}

impl Username {
    /// A username that is not reserved; whether it is free only its claim can tell.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !(USERNAME_MIN..=USERNAME_MAX).contains(&text.len()) || !text.chars().all(allowed) {
            return wrong(format!(
                "Username must be {USERNAME_MIN} to {USERNAME_MAX} letters (A-Z, a-z), digits or underscores"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The form that is unique: two names with one folded form cannot both exist.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl Email {
    /// An address of the form `local@domain`: a dot-atom and at least two labels.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let local = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
        let dot_atom = |s: &str| s.len() <= 64 && s.split('.').all(|part| !part.is_empty() && part.chars().all(local));
        let label = |s: &str| {
            !s.is_empty()
                && s.len() <= 63
                && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !s.starts_with('-')
                && !s.ends_with('-')
        };
        let valid = text.len() <= EMAIL_MAX
            && text
                .split_once('@')
                .is_some_and(|(name, domain)| dot_atom(name) && domain.contains('.') && domain.split('.').all(label));
        if valid { Ok(Self(text.to_owned())) } else { wrong("Email must be an address like name@example.com") }
    }

    /// The form that is unique: without regard to case.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_not_blank_not_too_long_and_holds_no_nul() {
        assert_eq!(Content::parse(" \n\u{3000}").unwrap_err().to_string(), "Content cannot be empty");
        assert!(Content::parse("a\0b").is_err());
        assert!(Content::parse(&"ü".repeat(CONTENT_MAX)).is_ok());
        assert!(Content::parse(&"ü".repeat(CONTENT_MAX + 1)).is_err());
    }

    #[test]
    fn of_what_a_client_calls_itself_one_line_is_kept() {
        assert_eq!(Device::of(" curl/8.5\n").unwrap().as_str(), "curl/8.5");
        assert_eq!(Device::of(&"x".repeat(DEVICE_MAX + 1)).unwrap().as_str().len(), DEVICE_MAX);
        assert_eq!(Device::of(" \u{7} "), None);
    }

    #[test]
    fn usernames_are_three_to_thirty_word_characters() {
        assert!(Username::parse("Ada_99").is_ok());
        for bad in ["ab", "with space", "ümlaut", "a-b-c", &"x".repeat(31), ""] {
            assert!(Username::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Username::parse("Ada").unwrap().folded(), "ada");
    }

    #[test]
    fn addresses_are_dot_atoms_with_a_domain() {
        for good in ["a@b.co", "first.last+tag@mail.example.com", "o'hara@example.ie"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "a", "a@b", "@b.co", "a@.co", "a@b..co", ".a@b.co", "a@-b.co", "a b@c.de", "\"a\"@b.co", "a@b@c.de"]
        {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
        assert!(Email::parse(&format!("{}@{}.de", "a".repeat(64), "b".repeat(63))).is_ok());
        assert!(Email::parse(&format!("{}@b.de", "a".repeat(65))).is_err());
    }

    #[test]
    fn a_text_is_not_shown_by_debug() {
        assert!(!format!("{:?}", Email::parse("ada@example.com").unwrap()).contains("ada"));
    }
}
