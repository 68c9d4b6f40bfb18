//! The connection between two nodes: batches of commands over HTTP/2, without TLS, for a network of the nodes' own.
//!
//! Whoever asks must hold the installation's secrets: a MAC over the time and the body stands in the request, and each
//! reply carries one that is bound to it, so that nobody in between can ask, answer, or answer something else. What
//! people typed is sealed anyway. A request that was recorded and is sent again is one that was asked already: its
//! commands take effect once, and after [`CLOCKS_MAX`] it is refused.

mod client;
mod server;

pub(crate) use client::HttpLink;
pub(crate) use server::listen;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::{Keyring, Timestamp};
use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// Where commands are taken.
const PATH: &str = "/internal/commands";
/// When the request was made, in microseconds since 1970, and the MAC over it.
const TIME: HeaderName = HeaderName::from_static("tidings-time");
const MAC: HeaderName = HeaderName::from_static("tidings-mac");
/// How far the clocks of two nodes may be apart, and how old a request may be. Below the time for which an id that
/// nobody chose is remembered.
const CLOCKS_MAX: Duration = Duration::from_secs(60);

/// Makes and checks the MACs.
#[derive(Clone)]
struct Seal(Arc<dyn Keyring>);

impl Seal {
    fn of_request(&self, time: Timestamp, body: &[u8]) -> [u8; 32] {
        self.0.secrets().token(&[b"node request", PATH.as_bytes(), &time.0.to_be_bytes(), body])
    }

    fn of_reply(&self, request: &[u8; 32], line: &[u8]) -> [u8; 32] {
        self.0.secrets().token(&[b"node reply", request, line])
    }

    /// The MAC of a request, if it is ours and of about now.
    fn check(&self, time: &str, mac: &str, now: Timestamp, body: &[u8]) -> Option<[u8; 32]> {
        let time = Timestamp(time.parse().ok()?);
        if time.since(now).max(now.since(time)) > CLOCKS_MAX {
            return None;
        }
        let expected = self.of_request(time, body);
        same(mac.as_bytes(), &expected).then_some(expected)
    }
}

fn text(mac: &[u8; 32]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(mac)
}

fn same(text: &[u8], expected: &[u8; 32]) -> bool {
    let given = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    verify_slices_are_equal(&given, expected).is_ok()
}
