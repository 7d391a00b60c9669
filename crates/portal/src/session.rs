//! Sessions as the log-in makes and ends them. A token is made anew at every step, so that one that somebody else put
//! into the browser before, or saw, is worth nothing after it.

use domain::secret::SecretHash;
use domain::time::{MINUTE_MS, Timestamp};
use domain::user::User;
use http::header::SET_COOKIE;
use store::session::{self, MOST_MS, Session, Stage};
use store::{Error, audit};

use crate::caller::Caller;
use crate::page::Answer;
use crate::site::Site;

/// How long somebody may take to find the code of their second factor.
const CODE_MS: i64 = 10 * MINUTE_MS;

/// Opens a session at this stage in place of the caller's own, and gives its cookie to `answer`.
pub(crate) async fn open(
    site: &Site,
    caller: &Caller,
    user: &User,
    stage: Stage,
    mut answer: Answer,
) -> Result<Answer, Error> {
    let token = site.secret("");
    let now = site.app.ambient.now();
    let session = begun(site, caller, stage, now);
    let log_in = serde_json::json!({ "event": "log-in", "address": session.address, "agent": session.agent });
    let entry = site.entry(user.network, &user.email, format!("user/{}", user.email), &log_in);
    let (user, old, hash) = (user.id, caller.token, SecretHash::of(&token));
    site.app
        .db
        .write(move |tx| {
            if let Some(old) = old {
                session::end(tx, old)?;
            }
            session::open(tx, user, hash, &session)?;
            if stage == Stage::Open { audit::record(tx, &entry) } else { Ok(()) }
        })
        .await?;
    answer.headers_mut().extend(caller.cookie(&token).map(|cookie| (SET_COOKIE, cookie)));
    Ok(answer)
}

fn begun(site: &Site, caller: &Caller, stage: Stage, now: Timestamp) -> Session {
    let lasts_ms = if stage == Stage::Code { CODE_MS } else { MOST_MS };
    Session {
        id: site.new_id(),
        stage,
        created: now,
        seen: now,
        expires: now.plus_ms(lasts_ms),
        address: caller.address.to_string(),
        agent: caller.agent.clone(),
    }
}

/// Ends the caller's session, and takes the cookie away by `answer`.
pub(crate) async fn end(site: &Site, caller: &Caller, mut answer: Answer) -> Result<Answer, Error> {
    if let Some(token) = caller.token {
        site.app.db.write(move |tx| session::end(tx, token)).await?;
    }
    answer.headers_mut().extend(caller.cookie("").map(|cookie| (SET_COOKIE, cookie)));
    Ok(answer)
}
