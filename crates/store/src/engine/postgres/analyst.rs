//! The thread that has growing tables looked at. PostgreSQL does so by itself, once a minute: a table that grows from
//! nothing to a hundred thousand rows meanwhile is planned for as if it was empty, and any index of it seems as good as
//! the one that is meant. So it is told as soon as a table has doubled; the rest is left to its own habits.

use std::time::Duration;

use super::link::Link;
use crate::inbox::Inbox;

const PERIOD: Duration = Duration::from_secs(2);

/// Tables that are small stay so, or are looked at when they have this many rows.
const GROWN: &str =
    "select c.oid::regclass::text from pg_stat_user_tables s join pg_class c on c.oid = s.relid
     where s.schemaname = current_schema() and s.n_live_tup > 1000 + 2 * greatest(c.reltuples, 0)";

pub(super) fn run(mut link: Link, inbox: &Inbox) {
    while inbox.is_open_after(PERIOD) {
        if let Err(error) = link.session().and_then(|mut session| session.analyze(GROWN)) {
            link.drop_connection();
            tracing::debug!(%error, "growing tables are not looked at");
        }
    }
}
