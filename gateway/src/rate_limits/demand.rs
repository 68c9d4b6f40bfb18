//! What a request to a route takes. A new route takes one from what holds for everything, unless it is named here.

use super::class::Class;
use http::Method;

/// What a request takes, beside what its handler takes when it knows more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Demand {
    /// From [`Class::Anonymous`] or [`Class::User`].
    pub(crate) cost: u32,
    /// One from this class too.
    pub(crate) class: Option<Class>,
}

/// Of reads that look at much: one asks for many things at once.
const BATCH_COST: u32 = 5;

impl Demand {
    /// Of the route as the router names it.
    pub(crate) fn of(method: &Method, route: &str) -> Self {
        let cost = if method.is_safe() && route == "/users" { BATCH_COST } else { 1 };
        Self { cost, class: if method.is_safe() { None } else { written(route) } }
    }

    /// Whether it counts for the address, whatever token comes with it: these routes read none.
    pub(crate) fn is_by_address(&self) -> bool {
        matches!(self.class, Some(Class::Register | Class::Login))
    }
}

/// Of a route that writes.
fn written(route: &str) -> Option<Class> {
    match route {
        "/users/auth/register" => Some(Class::Register),
        "/users/auth/login" => Some(Class::Login),
        _ if route.starts_with("/admin/") => None,
        _ => match route.rsplit('/').find(|part| !part.starts_with('{'))? {
            "posts" | "media" | "upload" => Some(Class::Posts),
            "comments" | "likes" | "follow" | "block" | "mute" => Some(Class::Interactions),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_more_or_is_written_is_known_by_its_route() {
        let of = |method: Method, route| (Demand::of(&method, route).cost, Demand::of(&method, route).class);
        assert_eq!(of(Method::GET, "/posts"), (1, None));
        assert_eq!(of(Method::GET, "/users"), (BATCH_COST, None));
        assert_eq!(of(Method::POST, "/users/auth/register"), (1, Some(Class::Register)));
        assert_eq!(of(Method::POST, "/users/auth/login"), (1, Some(Class::Login)));
        assert_eq!(of(Method::PUT, "/users/me"), (1, None));
        for (method, route) in
            [(Method::POST, "/posts"), (Method::DELETE, "/posts/{post_id}"), (Method::POST, "/media/upload")]
        {
            assert_eq!(of(method, route), (1, Some(Class::Posts)), "{route}");
        }
        for route in ["/posts/{post_id}/comments", "/posts/{post_id}/comments/{comment_id}", "/users/{user_id}/follow"]
        {
            assert_eq!(of(Method::DELETE, route), (1, Some(Class::Interactions)), "{route}");
        }
        assert_eq!(of(Method::POST, "/admin/parked/retry"), (1, None));
        assert_eq!(of(Method::POST, "unknown"), (1, None));
    }
}
