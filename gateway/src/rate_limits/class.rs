//! What is limited, and how much of it there is in a minute. A new class is a line here; which routes take from it is
//! said in `demand`.

use anyhow::{Context, Error, Result, bail, ensure};
use std::fmt;
use std::str::FromStr;

/// What requests take from. Each counts for one kind of subject.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Class {
    /// Everything without a good token, by address.
    Anonymous,
    /// Everything with one, by user.
    User,
    /// By address.
    Register,
    /// Signing in, by address: one address must not try many accounts.
    Login,
    /// Signing in, by the digest of the e-mail address: many addresses must not try one account.
    Account,
    /// Checks of the password of somebody who is signed in, by user: who has stolen an access token must not guess it.
    Password,
    /// By session.
    Refresh,
    /// Writing posts, by user.
    Posts,
    /// Writing comments, likes, follows, blocks and mutes, by user.
    Interactions,
}

impl Class {
    /// With names, and what each has by default.
    const ALL: [(Self, &'static str, u32); 9] = [
        (Self::Anonymous, "anonymous", 100),
        (Self::User, "user", 600),
        (Self::Register, "register", 5),
        (Self::Login, "login", 10),
        (Self::Account, "account", 10),
        (Self::Password, "password", 10),
        (Self::Refresh, "refresh", 30),
        (Self::Posts, "posts", 30),
        (Self::Interactions, "interactions", 120),
    ];

    /// In headers, settings and metrics.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Requests in a minute, by class; or no limits at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas(Option<[u32; Class::ALL.len()]>);

impl Quotas {
    /// Whether anything is limited.
    pub(crate) fn are_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn of(&self, class: Class) -> u32 {
        self.0.map_or(u32::MAX, |quotas| quotas[class as usize])
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self(Some(Class::ALL.map(|(_, _, quota)| quota)))
    }
}

/// `off`, or `class=requests` with commas; what is not named stays as it is by default. `all` names every class.
impl FromStr for Quotas {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "off" {
            return Ok(Self(None));
        }
        let mut quotas = Class::ALL.map(|(_, _, quota)| quota);
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, quota) =
                part.split_once('=').with_context(|| format!("{part}: expected class=requests, or off"))?;
            let quota = quota.parse().with_context(|| format!("{part}: not a number of requests"))?;
            ensure!(quota > 0, "{part}: with 0 nobody could do it at all");
            match Class::ALL.iter().position(|(_, known, _)| *known == name) {
                Some(at) => quotas[at] = quota,
                None if name == "all" => quotas.fill(quota),
                None => bail!("{part}: there is {} and all", Class::ALL.map(|(_, name, _)| name).join(", ")),
            }
        }
        Ok(Self(Some(quotas)))
    }
}

impl fmt::Display for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(quotas) = self.0 else { return f.write_str("off") };
        for ((_, name, _), (quota, at)) in Class::ALL.iter().zip(quotas.iter().zip(0..)) {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{name}={quota}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_stands_at_its_place() {
        assert!(Class::ALL.iter().enumerate().all(|(at, (class, ..))| *class as usize == at));
    }

    #[test]
    fn quotas_are_read_and_written() {
        let read = |text: &str| text.parse::<Quotas>();
        assert_eq!(read("").unwrap(), Quotas::default());
        assert_eq!(read(&Quotas::default().to_string()).unwrap(), Quotas::default());
        let some = read("user=1200, posts=60").unwrap();
        assert_eq!([Class::User, Class::Posts, Class::Login].map(|class| some.of(class)), [1_200, 60, 10]);
        assert_eq!(read("all=7,login=8").unwrap().of(Class::Login), 8);
        assert!(!read("off").unwrap().are_on());
        assert_eq!(read("off").unwrap().to_string(), "off");
        for bad in ["on", "user", "user=", "user=0", "user=x", "user=-1", "user=4294967296", "users=1", "off,user=1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
