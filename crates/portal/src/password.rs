//! Passwords: argon2id, on threads of its own kind and few at a time, for each takes 19 MiB and some ten milliseconds.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// Hashes at work at the same time.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const AT_MOST: Duration = Duration::from_secs(10);

/// The shortest password that is taken, in characters.
pub(crate) const SHORTEST: usize = 10;
/// The longest password that is looked at, in bytes.
pub(crate) const LONGEST: usize = 200;

/// Compared with where there is no password, so that an address nobody has takes as long as one that somebody has.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("nobody's password", &[7; 16]).unwrap_or_default());

/// Where passwords are made and compared.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
}

/// Too many log in at this moment; the caller may try again.
#[derive(Debug, thiserror::Error)]
#[error("too many passwords are being compared")]
pub(crate) struct Busy;

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Whether this is the password behind the PHC string; never where there is none, after the same work.
    pub(crate) async fn is_right(&self, given: String, stored: Option<String>) -> Result<bool, Busy> {
        self.work(move || {
            let known = stored.is_some();
            let text = stored.unwrap_or_else(|| NOBODY.clone());
            Argon2::default().verify_password(given.as_bytes(), text.as_str()).is_ok() && known
        })
        .await
    }

    /// The PHC string to keep of a password.
    pub(crate) async fn hash(&self, given: String, salt: [u8; 32]) -> Result<String, Busy> {
        self.work(move || hash(&given, &salt)).await?.map_err(|_| Busy)
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let turn = tokio::time::timeout(AT_MOST, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| Busy)
    }
}

/// The PHC string to keep of a password: argon2id with 19 MiB, two passes and this salt, of at least 8 bytes.
pub fn hash(password: &str, salt: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password_with_salt(password.as_bytes(), salt)?.to_string())
}

/// What is wrong with a password that somebody chose, in words; none when it can be taken.
pub(crate) fn fault(password: &str, email: &str) -> Option<String> {
    if password.chars().count() < SHORTEST {
        return Some(format!("Take at least {SHORTEST} characters; a sentence of four words is good."));
    }
    if password.len() > LONGEST {
        return Some(format!("Take at most {LONGEST} characters."));
    }
    let first = password.chars().next();
    if password.chars().all(|char| Some(char) == first) || password.eq_ignore_ascii_case(email) {
        return Some("This is among the first things that somebody would try; take another.".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_is_right_and_nobody_s_never_is() {
        let passwords = Passwords::new();
        let stored = passwords.hash("a horse in the rain".to_owned(), [3; 32]).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let right =
            |given: &str, stored: Option<&String>| passwords.is_right(given.to_owned(), stored.cloned());
        assert!(right("a horse in the rain", Some(&stored)).await.unwrap());
        assert!(!right("a horse in the rain ", Some(&stored)).await.unwrap());
        assert!(!right("nobody's password", None).await.unwrap());
        assert!(!right("x", Some(&"not a hash".to_owned())).await.unwrap());
    }

    #[test]
    fn a_password_that_anybody_would_try_is_refused() {
        for bad in ["", "123456789", "aaaaaaaaaaaa", "Ada@App.example", &"x".repeat(201)] {
            assert!(fault(bad, "ada@app.example").is_some(), "{bad}");
        }
        assert_eq!(fault("a horse in the rain", "ada@app.example"), None);
    }
}
