use super::*;
use axum::response::IntoResponse;
use uuid::Uuid;

const BY: Demand = Demand { cost: 1, class: None };
const POST: Demand = Demand { cost: 1, class: Some(Class::Posts) };

fn limits(quotas: &str) -> Arc<RateLimits> {
    Arc::new(RateLimits::new(quotas.parse().unwrap()))
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
    limits.enter(someone(), Class::User, BY).unwrap();
    let account = limits.enter(someone(), Class::User, POST).unwrap();
    let [limit, remaining, reset, rate_limit, policy] = written(&limits, &account);
    assert_eq!((limit.as_str(), remaining.as_str()), ("3", "2"));
    assert!((begun_s + 60..=begun_s + 62).contains(&reset.parse().unwrap()), "{reset}");
    assert!(rate_limit == "\"posts\";r=2;t=60", "{rate_limit}");
    assert_eq!(policy, "\"user\";q=10;w=60, \"posts\";q=3;w=60");
    let account = (0..7).map(|_| limits.enter(someone(), Class::User, BY).unwrap()).last().unwrap();
    assert_eq!(written(&limits, &account)[3..], ["\"user\";r=1;t=60", "\"user\";q=10;w=60"]);
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let limits = limits("user=10,posts=1");
    limits.enter(someone(), Class::User, POST).unwrap();
    let refused = limits.enter(someone(), Class::User, POST).unwrap_err();
    assert_eq!(written(&limits, &refused.account)[3], "\"posts\";r=0;t=60");
    let response = refused.error.into_response();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"60".parse().unwrap()));
}

#[test]
fn what_a_handler_is_refused_gives_back_what_the_door_took() {
    let limits = limits("anonymous=10,account=1");
    let enter = || {
        Admission::new(&limits, limits.enter(Subject::address([192, 0, 2, 1].into()), Class::Anonymous, BY).unwrap())
    };
    let claim = || events::Digest([9; 32]);
    let first = enter();
    first.take(Class::Account, claim()).unwrap();
    assert_eq!(written(&limits, &first.account().unwrap())[1], "0", "the account's limit is the tighter one now");
    for _ in 0..5 {
        let refused = enter();
        let error = refused.take(Class::Account, claim()).unwrap_err();
        assert_eq!(error.name(), crate::error::ErrorName::TooManyRequests);
        assert_eq!(written(&limits, &refused.account().unwrap())[4], "\"anonymous\";q=10;w=60, \"account\";q=1;w=60");
    }
    assert_eq!(written(&limits, &enter().account().unwrap())[1], "8");
}

#[test]
fn looking_takes_nothing() {
    let (limits, address) = (limits("anonymous=1"), Subject::address([192, 0, 2, 1].into()));
    for _ in 0..3 {
        limits.look(address, BY).unwrap();
    }
    limits.enter(address, Class::Anonymous, BY).unwrap();
    assert_eq!(limits.look(address, BY).unwrap_err().error.name(), crate::error::ErrorName::TooManyRequests);
}
