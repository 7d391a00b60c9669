//! Every address that is answered.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http_body_util::{Either, Full};
use tower::Service;

use crate::app::App;
use crate::error::{Fault, wrong_method};
use crate::listen::Limits;
use crate::meter::Meter;
use crate::origin::Peer;
use crate::{health, home, page, postback, redirect};

/// A click's answer is bytes at hand; other answers may stream.
pub(crate) type Answer = Either<Full<Bytes>, Body>;

/// What every handler may look at.
pub(crate) struct Site {
    pub(crate) app: Arc<App>,
    pub(crate) limits: Limits,
    pub(crate) meter: Meter,
}

/// Everything but the click, which has no business with a router.
fn pages(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", read(get(home::show)))
        .route("/healthz", read(get(health::alive)))
        .route("/readyz", read(get(health::ready)))
        .route("/metrics", read(get(health::metrics)))
        .route("/postback", postbacks())
        .route("/api/v1/postback/{token}", postbacks())
        .fallback(nothing_here)
        .with_state(site)
}

/// Answers every request of every connection.
pub(crate) struct Front {
    site: Arc<Site>,
    pages: Router,
}

impl Front {
    pub(crate) fn new(app: Arc<App>, limits: Limits) -> Self {
        let site = Arc::new(Site { app, limits, meter: Meter::new() });
        Self { pages: pages(Arc::clone(&site)), site }
    }

    /// Answers a request that came from `peer`.
    pub(crate) async fn answer<B>(&self, peer: IpAddr, request: http::Request<B>) -> Response<Answer>
    where
        B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let answer = if request.uri().path().starts_with(redirect::PREFIX) {
            let (head, _) = request.into_parts();
            redirect::follow(&self.site.app, &self.site.meter, peer, &head).await.map(Either::Left)
        } else {
            self.page(peer, request.map(Body::new)).await.map(Either::Right)
        };
        self.site.meter.answered(answer.status());
        answer
    }

    async fn page(&self, peer: IpAddr, mut request: Request) -> Response<Body> {
        request.extensions_mut().insert(Peer(peer));
        // A clone of a router is a pointer; calling one needs it for itself.
        let mut answer = match self.pages.clone().call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        page::secure(answer.headers_mut());
        answer
    }
}

/// Answers GET, and HEAD without the body.
fn read(methods: MethodRouter<Arc<Site>>) -> MethodRouter<Arc<Site>> {
    methods.fallback(only("GET, HEAD"))
}

/// A HEAD would otherwise be routed like a GET, and make a conversion.
fn postbacks() -> MethodRouter<Arc<Site>> {
    get(postback::receive).post(postback::receive).head(only("GET, POST")).fallback(only("GET, POST"))
}

/// Refuses any other method, naming those that are answered.
fn only(
    allow: &'static str,
) -> impl Fn(State<Arc<Site>>, HeaderMap) -> Ready<Response<Full<Bytes>>> + Clone + Send + Sync + 'static {
    move |State(site), headers| ready(wrong_method(allow, &site.app.ambient, &headers))
}

async fn nothing_here(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response<Full<Bytes>> {
    let message = "Nothing is served at this address";
    Fault::of_request(StatusCode::NOT_FOUND, "not_found", message, &site.app.ambient).answer(&headers)
}
