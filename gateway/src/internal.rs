//! The connection between two nodes: batches of commands, and questions how far read models are, over HTTP/2, without TLS,
//! for a network of the nodes' own.
//!
//! Whoever asks must hold the installation's secrets: a MAC over the time and the body's digest stands in the head of the
//! request, so that nothing of the body of a stranger is read, and each reply carries one that is bound to it, so that
//! nobody in between can ask, answer, or answer something else. What people typed is sealed anyway. A request that was
//! recorded and is sent again is one that was asked already: its commands take effect once, and after [`CLOCKS_MAX`] it
//! is refused.

mod client;
mod server;
#[cfg(test)]
mod tests;

pub(crate) use client::HttpLink;
pub(crate) use server::{Door, listen};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::{Keyring, Timestamp};
use http::{HeaderMap, HeaderName};
use std::sync::Arc;
use std::time::Duration;

/// Where commands are taken.
const COMMANDS: &str = "/internal/commands";
/// Where is said whether read models have passed something.
const PASSED: &str = "/internal/passed";
/// When the request was made, in microseconds since 1970, the SHA-256 of its body, and the MAC over both.
const TIME: HeaderName = HeaderName::from_static("tidings-time");
const DIGEST: HeaderName = HeaderName::from_static("tidings-digest");
const MAC: HeaderName = HeaderName::from_static("tidings-mac");
/// How far the clocks of two nodes may be apart, and how old a request may be. Below the time for which an id that
/// nobody chose is remembered.
const CLOCKS_MAX: Duration = Duration::from_secs(60);

/// Makes and checks the MACs.
#[derive(Clone)]
struct Seal(Arc<dyn Keyring>);

/// What the head of a request promises of its body, and the MAC over the head.
struct Head {
    digest: [u8; 32],
    mac: [u8; 32],
}

impl Seal {
    fn of_request(&self, path: &str, time: Timestamp, digest: &[u8; 32]) -> [u8; 32] {
        self.0.secrets().token(&[b"node request", path.as_bytes(), &time.0.to_be_bytes(), digest])
    }

    fn of_reply(&self, request: &[u8; 32], line: &[u8]) -> [u8; 32] {
        self.0.secrets().token(&[b"node reply", request, line])
    }

    /// The head of a request to this path, if it is ours and of about now.
    fn check(&self, path: &str, headers: &HeaderMap, now: Timestamp) -> Option<Head> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let time = Timestamp(header(TIME)?.parse().ok()?);
        if time.since(now).max(now.since(time)) > CLOCKS_MAX {
            return None;
        }
        let digest = BASE64_URL_SAFE_NO_PAD.decode(header(DIGEST)?).ok()?.try_into().ok()?;
        let mac = self.of_request(path, time, &digest);
        same(header(MAC)?.as_bytes(), &mac).then_some(Head { digest, mac })
    }
}

impl Head {
    fn is_of(&self, body: &[u8]) -> bool {
        verify_slices_are_equal(&digest_of(body), &self.digest).is_ok()
    }
}

fn digest_of(body: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, body).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn text(mac: &[u8; 32]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(mac)
}

fn same(text: &[u8], expected: &[u8; 32]) -> bool {
    let given = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    verify_slices_are_equal(&given, expected).is_ok()
}
