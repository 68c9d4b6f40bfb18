//! The headers that say how somebody stands: `X-RateLimit-*`, which most clients know, and `RateLimit` with
//! `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers. All speak of the tightest limit that a request met; the
//! policies are those of all that it met.

use super::class::{Class, Quotas};
use super::windows::{Standing, WINDOW_S};
use super::{Account, CLASSES_MAX};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::io::Write;

pub(crate) const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub(crate) const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
pub(crate) const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Room for what one answer says: three numbers, and a name with two.
const ROOM: usize = 96;

/// What does not change from request to request.
pub(super) struct Policies {
    quotas: Quotas,
    /// Of the requests that meet only what holds for everything, which most do.
    anonymous: HeaderValue,
    user: HeaderValue,
}

impl Policies {
    pub(super) fn new(quotas: Quotas) -> Self {
        let alone = |class| value(list(quotas, [Some(class), None, None]));
        Self { quotas, anonymous: alone(Class::Anonymous), user: alone(Class::User) }
    }

    /// In one piece of memory.
    pub(super) fn write(&self, account: &Account, headers: &mut HeaderMap) {
        let Standing { charge, left, ends_ms } = account.tightest;
        let mut text = BytesMut::with_capacity(ROOM);
        let mut piece = |arguments: std::fmt::Arguments<'_>| {
            // Writing to memory that grows does not fail.
            let _ = (&mut text).writer().write_fmt(arguments);
            value(text.split().freeze())
        };
        headers.insert(LIMIT, piece(format_args!("{}", charge.limit)));
        headers.insert(REMAINING, piece(format_args!("{left}")));
        headers.insert(RESET, piece(format_args!("{}", ends_ms.div_ceil(1_000))));
        let seconds = account.tightest.seconds_left(account.now_ms);
        headers.insert(RATE_LIMIT, piece(format_args!("\"{}\";r={left};t={seconds}", charge.class.name())));
        headers.insert(POLICY, self.policy(account.classes));
    }

    fn policy(&self, classes: [Option<Class>; CLASSES_MAX]) -> HeaderValue {
        match classes {
            [Some(Class::Anonymous), None, None] => self.anonymous.clone(),
            [Some(Class::User), None, None] => self.user.clone(),
            classes => value(list(self.quotas, classes)),
        }
    }
}

/// `"user";q=600;w=60, "posts";q=30;w=60`
fn list(quotas: Quotas, classes: [Option<Class>; CLASSES_MAX]) -> Bytes {
    let policy = |class: Class| format!("\"{}\";q={};w={WINDOW_S}", class.name(), quotas.of(class));
    classes.into_iter().flatten().map(policy).collect::<Vec<_>>().join(", ").into()
}

fn value(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).expect("names and numbers are visible ASCII")
}
