//! A click that a person makes with a button instead of a browser's visit.

use std::net::IpAddr;

use axum::http::Response;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::Full;

use crate::app::App;
use crate::meter::Meter;
use crate::redirect;

/// Takes a click as the tracking link's address does: decided and recorded by the same code, with the same answer.
/// `head` is the request that a visitor at `peer` would send; whether it is a test is for the link's signature to say.
pub async fn test_click(app: &App, peer: IpAddr, head: &Parts) -> Response<Full<Bytes>> {
    // Counters are found by their names: these count on where the server's own do.
    redirect::answer(app, &Meter::new(), peer, head).await
}
