//! Somebody of the first partner, with a password for the portal.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use store::{Db, user};

use crate::clock;
use crate::failure::Failure;

/// Who logs in; the demo's own file has them.
pub(super) const EMAIL: &str = "ada@pocketpoints.example";

/// Random bytes in the password, so that it stays one that nobody guesses where the demo listens to others.
const BYTES: usize = 12;

/// Sets a fresh password, and gives it.
pub(super) async fn open(db: &Db) -> Result<String, Failure> {
    let ambient = clock::ambient();
    let password = URL_SAFE_NO_PAD.encode(&ambient.random_bytes()[..BYTES]);
    let kept = portal::hash_password(&password, &ambient.random_bytes()).map_err(Failure::new)?;
    let users = db.read(user::all).await.map_err(Failure::new)?;
    let own = super::known(users.iter().find(|user| user.email == EMAIL).map(|user| user.id), "user")?;
    let set = db.write(move |tx| user::set_password(tx, own, &kept, None)).await;
    set.map_err(|error: store::Error| Failure::new(error))?;
    Ok(password)
}
