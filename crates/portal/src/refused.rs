//! Why a page cannot be shown or a form not taken: what handlers give back with `?`.

use axum::response::{IntoResponse, Response};

use crate::page;

/// What a handler gives instead of its page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Not there, or not for this viewer; the two look the same.
    #[error("not there")]
    Absent,
    /// The record could not be asked or changed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Too many passwords are being compared.
    #[error(transparent)]
    Busy(#[from] crate::password::Busy),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let answer = match self {
            Self::Absent => page::absent(),
            Self::Store(error) => {
                tracing::warn!(%error, "a page could not be made of the record");
                page::unavailable()
            }
            Self::Busy(_) => page::unavailable(),
        };
        answer.into_response()
    }
}
