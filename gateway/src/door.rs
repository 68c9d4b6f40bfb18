//! What a request passes before its handler: who asks, whether there is something left for them, and whether what they
//! sent and want can be had here at all. Nothing has been read, hashed or changed when it is refused.

use crate::accept;
use crate::address::{self, Peer};
use crate::auth::{Caller, enter, verify};
use crate::backend::Backend;
use crate::error::{ApiError, ErrorName};
use crate::rate_limits::{Account, Admission, Class, Demand, Refused, Subject};
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use std::net::{IpAddr, Ipv4Addr};

/// Headers of a request. The library that reads them refuses more than 100 with an answer that has no body.
const HEADERS_MAX: usize = 64;
/// Names and values of all headers, in bytes. The library refuses a head of more than 64 KiB likewise.
const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// Path and query, in bytes. The library refuses more than 64 KiB likewise.
const TARGET_BYTES_MAX: usize = 8 * 1024;

/// Who asks, as the door found out; absent if no token came.
#[derive(Clone)]
pub(crate) struct Authenticated(pub(crate) Result<Option<Caller>, ApiError>);

/// What the answer is to say of the limits.
#[derive(Default)]
pub(crate) enum Entry {
    /// Nothing: it was not limited.
    #[default]
    Free,
    /// This: no handler takes more.
    Closed(Account),
    /// What the handler leaves.
    Open(Admission),
}

impl Entry {
    pub(crate) fn account(&self) -> Option<Account> {
        match self {
            Self::Free => None,
            Self::Closed(account) => Some(*account),
            Self::Open(admission) => admission.account(),
        }
    }
}

/// Where a request has come to.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) app: &'a Backend,
    pub(crate) route: &'a str,
}

/// Lets a request in. `entry` is set as soon as it is known, since a request may end in any way after that.
pub(crate) async fn open(at: Arrival<'_>, request: &mut Parts, entry: &mut Entry) -> Result<(), ApiError> {
    // A preflight carries no token, and would use up what others behind the address have. It costs as good as nothing.
    if request.method == Method::OPTIONS {
        return Ok(());
    }
    if at.app.rate_limits.are_on() {
        admit(at, request, entry).await?;
    }
    check_head(request)?;
    accept::check(&request.headers)
}

async fn admit(at: Arrival<'_>, request: &mut Parts, entry: &mut Entry) -> Result<(), ApiError> {
    let Arrival { app, route } = at;
    let demand = Demand::of(&request.method, route);
    let address = Subject::address(client(app, request));
    let entered = match request.headers.contains_key(AUTHORIZATION) && !demand.is_by_address() {
        false => app.rate_limits.enter(address, Class::Anonymous, demand).await,
        true if app.admin_token.is_in(&request.headers) => {
            app.rate_limits.enter(Subject::OPERATOR, Class::User, demand).await
        }
        true => {
            // Set if a signature would have to be checked, and the address has nothing left.
            let mut used_up = None;
            let gate = async {
                let looked = app.rate_limits.look(address, demand).await;
                looked.map_err(|Refused { error, account }| {
                    used_up = Some(*account);
                    error
                })
            };
            let verified = verify(app, &request.headers, gate).await;
            if let Some(account) = used_up {
                *entry = Entry::Closed(account);
                return verified.map(drop);
            }
            let mut entered = None;
            let found = match verified {
                Ok(Some(verified)) => enter(app, &verified, Some(demand)).await.map(|(caller, account)| {
                    entered = account;
                    Some(caller)
                }),
                other => other.map(|_| None),
            };
            request.extensions.insert(Authenticated(found));
            match entered {
                Some(entered) => entered,
                // Who is not let in as somebody counts as a stranger.
                None => app.rate_limits.enter(address, Class::Anonymous, demand).await,
            }
        }
    };
    let account = entered.map_err(|Refused { error, account }| {
        *entry = Entry::Closed(*account);
        error
    })?;
    if request.method.is_safe() {
        *entry = Entry::Closed(account);
    } else {
        let admission = Admission::new(&app.rate_limits, account);
        request.extensions.insert(admission.clone());
        *entry = Entry::Open(admission);
    }
    Ok(())
}

fn client(app: &Backend, request: &Parts) -> IpAddr {
    let peer = request.extensions.get::<Peer>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0);
    address::client(peer, &request.headers, &app.trusted_proxies)
}

fn check_head(request: &Parts) -> Result<(), ApiError> {
    if request.uri.path_and_query().is_some_and(|target| target.as_str().len() > TARGET_BYTES_MAX) {
        let message = format!("Path and query have more than {TARGET_BYTES_MAX} bytes");
        return Err(ApiError::new(ErrorName::UriTooLong, message));
    }
    let headers = &request.headers;
    if headers.len() > HEADERS_MAX || bytes(headers) > HEADERS_BYTES_MAX {
        let message =
            format!("There are more than {HEADERS_MAX} headers, or more than {HEADERS_BYTES_MAX} bytes of them");
        return Err(ApiError::new(ErrorName::HeadersTooLarge, message));
    }
    // Of two names the server behind a proxy could believe another one than the proxy (RFC 9112, 3.2).
    if request.version == Version::HTTP_11 && headers.get_all(HOST).iter().count() != 1 {
        return Err(ApiError::invalid("There must be one Host header"));
    }
    Ok(())
}

fn bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
