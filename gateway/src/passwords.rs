//! Hashing passwords with Argon2id, a few at a time: each takes 19 MiB and tens of milliseconds of a core, so more at
//! once would only make all of them late.

use crate::backend::Backend;
use crate::error::ApiError;
use anyhow::{Result, anyhow};
use argon2::{Algorithm, Argon2, Params, PasswordHash as Phc, PasswordHasher, PasswordVerifier, Version};
use events::{PasswordHash, TextError};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// A password, shortest, in code points.
pub(crate) const PASSWORD_MIN: usize = 8;
/// A password, longest, in code points.
pub(crate) const PASSWORD_MAX: usize = 256;
/// Requests that may wait for a hash; one more is told to come back.
const WAITING_MAX: usize = 256;
// The first choice of OWASP's password storage cheat sheet.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A password as it was typed, all of it. Never shown.
#[derive(Clone)]
pub(crate) struct Password(Arc<str>);

impl Password {
    pub(crate) fn parse(text: &str) -> Result<Self, TextError> {
        if (PASSWORD_MIN..=PASSWORD_MAX).contains(&text.chars().count()) {
            Ok(Self(text.into()))
        } else {
            Err(TextError(format!("Password must have {PASSWORD_MIN} to {PASSWORD_MAX} characters")))
        }
    }
}

/// The hashers.
#[derive(Clone)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What a password is compared with where there is no account, so that both take as long.
    nobody: Arc<str>,
}

impl Passwords {
    /// At most so many hashes at one time.
    pub(crate) fn new(at_once: usize) -> Result<Self> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| anyhow!("{error}"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody =
            phc(&argon2, "nobody has this password", b"no account here!").map_err(|error| anyhow!("{error}"))?;
        Ok(Self {
            argon2,
            hashing: Arc::new(Semaphore::new(at_once.max(1))),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            nobody: nobody.into(),
        })
    }

    /// The hash of a password: the same for the same salt. The caller sees to it that no two accounts share a salt.
    pub(crate) async fn hash(&self, password: Password, salt: [u8; 16]) -> Result<PasswordHash, ApiError> {
        let argon2 = self.argon2.clone();
        let hashed = self.in_turn(move || phc(&argon2, &password.0, &salt)).await?;
        hashed.map(PasswordHash::new).map_err(ApiError::internal)
    }

    /// Whether it is the password that was hashed. With no hash it takes as long, and is not.
    pub(crate) async fn verify(&self, password: Password, hash: Option<&PasswordHash>) -> Result<bool, ApiError> {
        let phc = hash.map_or_else(|| Arc::clone(&self.nobody), |hash| hash.as_str().into());
        let (argon2, is_somebody) = (self.argon2.clone(), hash.is_some());
        let matches = self.in_turn(move || {
            let phc = Phc::new(&phc)?;
            Ok(argon2.verify_password(password.0.as_bytes(), &phc).is_ok())
        });
        let matches: Result<bool, argon2::password_hash::phc::Error> = matches.await?;
        matches.map(|matches| matches && is_somebody).map_err(ApiError::internal)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let _waiting = Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(|_| ApiError::unavailable("Too many people are signing in; try again in a moment"))?;
        let turn = Arc::clone(&self.hashing).acquire_owned().await.map_err(ApiError::internal)?;
        // The permit goes along: a client that goes away does not stop the hash.
        let worked = spawn_blocking(move || {
            let worked = work();
            drop(turn);
            worked
        });
        worked.await.map_err(ApiError::internal)
    }
}

fn phc(argon2: &Argon2<'_>, password: &str, salt: &[u8; 16]) -> Result<String, argon2::password_hash::Error> {
    let hash: Phc = argon2.hash_password_with_salt(password.as_bytes(), salt)?;
    Ok(hash.to_string())
}

impl Backend {
    /// The salt of the password that comes with this id. The same for the same id, and for no other.
    pub(crate) fn salt(&self, id: &Uuid) -> [u8; 16] {
        let salt = self.secrets().token(&[b"password salt", id.as_bytes()]);
        salt[..16].try_into().expect("a MAC has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_password_and_no_other_matches_its_hash() {
        let passwords = Passwords::new(2).unwrap();
        let right = Password::parse("correct horse").unwrap();
        let wrong = Password::parse("correct house").unwrap();
        let hash = passwords.hash(right.clone(), [7; 16]).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert!(passwords.verify(right.clone(), Some(&hash)).await.unwrap());
        assert!(!passwords.verify(wrong, Some(&hash)).await.unwrap());
        assert!(!passwords.verify(right.clone(), None).await.unwrap());
        assert_eq!(passwords.hash(right, [7; 16]).await.unwrap(), hash);
    }

    #[test]
    fn the_length_of_a_password_is_counted_in_code_points() {
        assert!(Password::parse(&"ü".repeat(PASSWORD_MAX)).is_ok());
        for bad in ["", "seven77", &"ü".repeat(PASSWORD_MAX + 1)] {
            assert!(Password::parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn nobody_waits_in_a_queue_without_end() {
        let passwords = Passwords::new(1).unwrap();
        let _all = Arc::clone(&passwords.waiting).try_acquire_many_owned(WAITING_MAX as u32).unwrap();
        let error = passwords.hash(Password::parse("correct horse").unwrap(), [7; 16]).await.unwrap_err();
        assert_eq!(error.name().status(), 503);
    }
}
