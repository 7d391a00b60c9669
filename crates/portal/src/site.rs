//! What every page may look at.

use std::sync::Arc;

/// The server as pages see it.
pub(crate) struct Site {
    /// The record, the catalog, the clock.
    pub(crate) app: Arc<web::App>,
}
