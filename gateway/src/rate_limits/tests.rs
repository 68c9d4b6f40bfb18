use super::*;
use crate::error::ErrorName;
use axum::response::IntoResponse;
use futures::FutureExt;
use uuid::Uuid;

const BY: Demand = Demand { cost: 1, class: None };
const POST: Demand = Demand { cost: 1, class: Some(Class::Posts) };

fn limits(quotas: &str) -> Arc<RateLimits> {
    Arc::new(RateLimits::new(quotas.parse().unwrap(), None))
}

/// In memory nothing ever waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

fn someone() -> Subject {
    UserId(Uuid::from_u128(7)).into()
}

fn written(limits: &RateLimits, account: &Account) -> [String; 5] {
    let mut headers = HeaderMap::new();
    limits.write(account, &mut headers);
    [headers::LIMIT, headers::REMAINING, headers::RESET, headers::RATE_LIMIT, headers::POLICY]
        .map(|name| headers[name].to_str().unwrap().to_owned())
}

#[test]
fn the_headers_speak_of_the_tightest_limit_and_name_all_policies() {
    let limits = limits("user=10,posts=3");
    let begun_s = limits.now_ms() / 1_000;
    now(limits.enter(someone(), Class::User, BY)).unwrap();
    let account = now(limits.enter(someone(), Class::User, POST)).unwrap();
    let [limit, remaining, reset, rate_limit, policy] = written(&limits, &account);
    assert_eq!((limit.as_str(), remaining.as_str()), ("3", "2"));
    assert!((begun_s + 60..=begun_s + 62).contains(&reset.parse().unwrap()), "{reset}");
    assert!(rate_limit == "\"posts\";r=2;t=60", "{rate_limit}");
    assert_eq!(policy, "\"user\";q=10;w=60, \"posts\";q=3;w=60");
    for _ in 0..6 {
        now(limits.enter(someone(), Class::User, BY)).unwrap();
    }
    let account = now(limits.enter(someone(), Class::User, BY)).unwrap();
    assert_eq!(written(&limits, &account)[3..], ["\"user\";r=1;t=60", "\"user\";q=10;w=60"]);
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let limits = limits("user=10,posts=1");
    now(limits.enter(someone(), Class::User, POST)).unwrap();
    let refused = now(limits.enter(someone(), Class::User, POST)).unwrap_err();
    assert_eq!(written(&limits, &refused.account)[3], "\"posts\";r=0;t=60");
    let response = refused.error.into_response();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"60".parse().unwrap()));
}

#[test]
fn what_a_handler_is_refused_gives_back_what_the_door_took() {
    for (class, subject) in [
        (Class::Account, events::Digest([9; 32]).into()),
        (Class::Password, someone()),
        (Class::Refresh, SessionId(Uuid::from_u128(8)).into()),
    ] {
        let limits = limits(&format!("anonymous=10,{}=1", class.name()));
        let address = Subject::address([192, 0, 2, 1].into());
        let enter = || Admission::new(&limits, now(limits.enter(address, Class::Anonymous, BY)).unwrap());
        let first = enter();
        now(first.take(class, subject)).unwrap();
        assert_eq!(written(&limits, &first.account().unwrap())[1], "0", "this limit is the tighter one now");
        let policy = format!("\"anonymous\";q=10;w=60, \"{}\";q=1;w=60", class.name());
        for _ in 0..5 {
            let refused = enter();
            assert_eq!(now(refused.take(class, subject)).unwrap_err().name(), ErrorName::TooManyRequests);
            assert_eq!(written(&limits, &refused.account().unwrap())[4], policy);
        }
        assert_eq!(written(&limits, &enter().account().unwrap())[1], "8");
    }
}

#[test]
fn looking_takes_nothing() {
    let (limits, address) = (limits("anonymous=1"), Subject::address([192, 0, 2, 1].into()));
    for _ in 0..3 {
        now(limits.look(address, BY)).unwrap();
    }
    now(limits.enter(address, Class::Anonymous, BY)).unwrap();
    assert_eq!(now(limits.look(address, BY)).unwrap_err().error.name(), ErrorName::TooManyRequests);
}
