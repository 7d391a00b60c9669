//! One thread's connection, made again when it is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres::{Client, Config};

use super::connect;
use super::session::{Prepared, Session};
use crate::engine::Key;
use crate::error::Error;

/// After a refused connection the next attempt waits this long, so that a queue of work fails fast.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection that comes back by itself.
pub(super) struct Link {
    config: Arc<Config>,
    timeout: Duration,
    client: Option<Client>,
    prepared: HashMap<Key, Prepared>,
    refused: Option<(Instant, Error)>,
}

impl Link {
    pub(super) fn new(config: &Arc<Config>, timeout: Duration) -> Self {
        let config = Arc::clone(config);
        Self { config, timeout, client: None, prepared: HashMap::new(), refused: None }
    }

    /// The live connection, made now if need be.
    pub(super) fn session(&mut self) -> Result<Session<'_>, Error> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.drop_connection();
            self.client = Some(self.reconnect()?);
        }
        match &mut self.client {
            Some(client) => Ok(Session::new(client, &mut self.prepared)),
            None => Err(Error::Closed),
        }
    }

    /// Gives the connection up; the server undoes what was not committed.
    pub(super) fn drop_connection(&mut self) {
        // Prepared statements belong to the connection and try to talk to it when they go.
        self.prepared.clear();
        self.client = None;
    }

    /// A connection that cannot even roll back is given up, which undoes the transaction as well.
    pub(super) fn roll_back(&mut self) {
        let undone = self.session().and_then(|mut session| session.run("rollback"));
        if undone.is_err() {
            self.drop_connection();
        }
    }

    fn reconnect(&mut self) -> Result<Client, Error> {
        if let Some((at, error)) = &self.refused
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let connected = self.connect();
        self.refused = connected.as_ref().err().map(|error| (Instant::now(), error.clone()));
        connected
    }

    fn connect(&self) -> Result<Client, Error> {
        let mut client = connect(&self.config)?;
        let timeout_ms = self.timeout.as_millis();
        // A client that stands still inside a transaction would hold its locks for ever. Statements are steps of an
        // index, whatever their parameters are: a plan is made once for all, and never compiled.
        let settings = format!(
            "set statement_timeout = {timeout_ms}; set idle_in_transaction_session_timeout = {timeout_ms};
             set plan_cache_mode = force_generic_plan; set jit = off"
        );
        client.batch_execute(&settings).map_err(|error| Error::Unavailable(Arc::new(error)))?;
        Ok(client)
    }
}
