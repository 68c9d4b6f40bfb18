//! The rules that reach across keys, all of them. A rule within a key is exact, since the key's owner decides it; these
//! are checked here against read models, enforced again when something is read, and repaired. While a read model is away
//! they are not checked, and writes go on; only a mention has to be resolved.
//!
//! | rule | checked | when read | repaired by |
//! |---|---|---|---|
//! | the followee exists | [`Backend::check_followee`] | lists and counts pass over who has no account | USER_DELETION, which ends follows both ways |
//! | whoever is blocked or muted exists | [`Backend::check_exists`] | lists pass over who has no account | USER_DELETION, which ends blocks and mutes both ways |
//! | nobody follows across a block | [`Backend::check_followee`] | [`Backend::hidden_from`] hides the two from each other | USER_BLOCK, which ends the follows both ways; one that was under way and came later is hidden as long as the block holds |
//! | nobody likes or comments across a block | [`Backend::check_author`], of a post that is seen already | [`Backend::hidden_from`] | nothing: what was there before is hidden as well, and there again after the block |
//! | a mention names nobody across a block | [`Backend::resolve`], when written | [`Backend::hidden_from`] leaves the one out who is mentioned | nothing: it stands in what somebody else wrote |
//! | the author, commenter or liker exists | by the open session; of a post by POST_CREATION | nothing of who is deleted is listed or counted | USER_DELETION, which deletes it |
//! | a mention names somebody | [`Backend::resolve`], when written | who has no account any more is left out | nothing: it stands in what somebody else wrote |
//! | the media is mine | [`check_media`] | there is none in this version | nothing |
//! | the name is not reserved | [`check_not_reserved`] | never | nothing: names of the installation |

use crate::backend::Backend;
use crate::error::{ApiError, ErrorName, FieldError};
use crate::schemas::MEDIA_URL_PATTERN;
use events::text_limits::MENTIONS_MAX;
use events::{Mentions, PostId, UserId, Username};
use futures::future::try_join;
use projections::{Hidden, Unavailable, posts, users};
use tracing::debug;
use uuid::Uuid;

/// Names that nobody may take, folded: they would be taken for the service itself, or for a route.
const RESERVED: &[&str] = &[
    "about",
    "abuse",
    "account",
    "admin",
    "administrator",
    "all",
    "analyst",
    "anonymous",
    "api",
    "auth",
    "billing",
    "contact",
    "deleted",
    "everyone",
    "explore",
    "feed",
    "help",
    "here",
    "info",
    "login",
    "logout",
    "mail",
    "media",
    "moderator",
    "nobody",
    "notifications",
    "null",
    "official",
    "operator",
    "owner",
    "postmaster",
    "posts",
    "privacy",
    "register",
    "root",
    "search",
    "security",
    "settings",
    "staff",
    "status",
    "support",
    "system",
    "team",
    "tidings",
    "undefined",
    "user",
    "username",
    "users",
    "webmaster",
    "www",
];

impl Backend {
    /// Whom `viewer` does not see: the one question that everything asks which shows people, or what they wrote or did, to
    /// somebody. [`Hidden::hides`] is for all of it, [`Hidden::hides_in_feed`] for the feed.
    pub(crate) async fn hidden_from(&self, viewer: Option<UserId>) -> Result<Hidden, Unavailable> {
        match viewer {
            Some(viewer) => self.models.users.hidden_from(viewer).await,
            None => Ok(Hidden::NOBODY),
        }
    }

    /// A post that `viewer` may see, and whom they do not see.
    pub(crate) async fn seen_post(
        &self,
        post: PostId,
        viewer: Option<UserId>,
    ) -> Result<(posts::Post, Hidden), ApiError> {
        let (hidden, post) = try_join(self.hidden_from(viewer), self.models.posts.post(post, viewer)).await?;
        let post = post.filter(|post| !hidden.hides(post.author)).ok_or_else(|| ApiError::not_found("post"))?;
        Ok((post, hidden))
    }

    /// That no block stands between `user` and the author of a post that they do something with. A post that is not seen yet
    /// may pass.
    pub(crate) async fn check_author(&self, user: UserId, post: PostId) -> Result<(), ApiError> {
        let is_hidden = async {
            let (hidden, post) =
                try_join(self.hidden_from(Some(user)), self.models.posts.post(post, Some(user))).await?;
            Ok(post.is_some_and(|post| hidden.hides(post.author)))
        };
        if is_hidden.await.unwrap_or_else(unchecked) { Err(ApiError::not_found("post")) } else { Ok(()) }
    }

    /// That there is somebody to follow, and no block between the two.
    pub(crate) async fn check_followee(&self, user: UserId, followee: UserId) -> Result<(), ApiError> {
        self.check_exists(followee).await?;
        let is_hidden = self.hidden_from(Some(user)).await.map(|hidden| hidden.hides(followee));
        if is_hidden.unwrap_or_else(unchecked) { Err(ApiError::not_found("user")) } else { Ok(()) }
    }

    /// That there is such a user. Who is not seen is looked for again behind the log's end, so that "no such user" is
    /// true.
    pub(crate) async fn check_exists(&self, user: UserId) -> Result<(), ApiError> {
        self.exists(user).await?.then_some(()).ok_or_else(|| ApiError::not_found("user"))
    }

    async fn exists(&self, user: UserId) -> Result<bool, ApiError> {
        match self.models.users.holds(user).await {
            Ok(false) => {}
            Ok(true) => return Ok(true),
            Err(why) => return Ok(!unchecked(why)),
        }
        self.consistency.caught_up(&[users::NAME]).await?;
        Ok(self.models.users.holds(user).await?)
    }

    /// Whom these names belong to, in their order; names that nobody has are text, and those of whoever is hidden from the
    /// author.
    pub(crate) async fn resolve(&self, author: UserId, names: &[String]) -> Result<Mentions, Unavailable> {
        if names.is_empty() {
            return Ok(Mentions::default());
        }
        let hidden = self.hidden_from(Some(author)).await?;
        let claims = names.iter().map(|name| self.secrets().claim("username", name)).collect::<Vec<_>>();
        let mut mentions = Vec::new();
        for user in self.models.users.by_usernames(&claims).await?.into_iter().flatten() {
            if !hidden.hides(user) && !mentions.contains(&user) && mentions.len() < MENTIONS_MAX {
                mentions.push(user);
            }
        }
        Ok(Mentions(mentions))
    }
}

/// That a rule is not broken as far as anybody knows: while a read model is away writes go on, and what they break is not
/// shown.
#[expect(clippy::needless_pass_by_value, reason = "for unwrap_or_else")]
fn unchecked(why: Unavailable) -> bool {
    debug!("a rule across keys is not checked: {why}");
    metrics::counter!("tidings_rules_unchecked_total").increment(1);
    false
}

/// That a post shows only media of its author: nobody has any yet.
pub(crate) fn check_media(url: &str) -> Result<(), ApiError> {
    let is_minted = url
        .strip_prefix("/media/")
        .is_some_and(|id| Uuid::try_parse(id).is_ok_and(|uuid| uuid.hyphenated().to_string() == id));
    if is_minted {
        return Err(ApiError::new(ErrorName::Forbidden, "This upload is not yours"));
    }
    let message = format!("media_url must match {MEDIA_URL_PATTERN}");
    Err(ApiError::of_fields(ErrorName::InvalidRequest, vec![FieldError { field: "media_url", message }]))
}

/// That a name is for people.
pub(crate) fn check_not_reserved(name: &Username) -> Result<(), ApiError> {
    if RESERVED.binary_search(&name.folded().as_str()).is_err() {
        return Ok(());
    }
    let message = "This username is reserved".to_owned();
    Err(ApiError::of_fields(ErrorName::Conflict, vec![FieldError { field: "username", message }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_in_order_and_found_without_case() {
        assert!(RESERVED.is_sorted());
        assert!(check_not_reserved(&Username::parse("Admin").unwrap()).is_err());
        assert!(check_not_reserved(&Username::parse("adminx").unwrap()).is_ok());
    }

    #[test]
    fn media_that_is_not_minted_here_is_malformed_and_other_media_is_not_ones_own() {
        for (url, status) in [
            ("https://example.com/1.jpg", 400),
            ("/media/1", 400),
            ("/media/00000000-0000-4000-8000-00000000000A", 400),
            ("/media/00000000-0000-4000-8000-00000000000a", 403),
        ] {
            assert_eq!(check_media(url).unwrap_err().name().status(), status, "{url}");
        }
    }
}
