//! Every address that is answered.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Response, StatusCode, Version};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http_body_util::{Either, Full};
use tower::Service;

use crate::app::App;
use crate::error::{Fault, wrong_method};
use crate::listen::Limits;
use crate::meter::Meter;
use crate::origin::Peer;
use crate::{api, health, page, postback, redirect};

/// A click's answer is bytes at hand; other answers may stream.
pub(crate) type Answer = Either<Full<Bytes>, Body>;

/// What every handler may look at.
pub(crate) struct Site {
    pub(crate) app: Arc<App>,
    pub(crate) limits: Limits,
    pub(crate) meter: Meter,
}

/// Everything but the click, which has no business with a router.
fn pages(site: &Arc<Site>) -> Router {
    Router::new()
        .route("/healthz", read(get(health::alive)))
        .route("/readyz", read(get(health::ready)))
        .route("/metrics", read(get(health::metrics)))
        .route("/postback", postbacks())
        .route("/api/v1/postback/{token}", postbacks())
        .merge(api::routes())
        .fallback(nothing_here)
        .with_state(Arc::clone(site))
        .merge(site.app.pages.clone())
}

/// Answers every request of every connection.
pub(crate) struct Front {
    pub(crate) site: Arc<Site>,
    pages: Router,
}

impl Front {
    pub(crate) fn new(app: Arc<App>, limits: Limits) -> Self {
        let site = Arc::new(Site { app, limits, meter: Meter::new() });
        Self { pages: pages(&site), site }
    }

    /// Answers a request that came from `peer`.
    pub(crate) async fn answer<B>(&self, peer: IpAddr, request: http::Request<B>) -> Response<Answer>
    where
        B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let answer = if let Some(what) = unclear(request.version(), request.headers()) {
            let ambient = &self.site.app.ambient;
            let fault = Fault::of_request(StatusCode::BAD_REQUEST, "request_unclear", what, ambient);
            fault.answer(request.headers()).map(Either::Left)
        } else if request.uri().path().starts_with(redirect::PREFIX) {
            let (head, _) = request.into_parts();
            redirect::answer(&self.site.app, &self.site.meter, peer, &head).await.map(Either::Left)
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

/// What a proxy in front of us could read in another way than we do: then whose request it is, or where it ends, is
/// anybody's guess.
fn unclear(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    // RFC 9112, 3.2: exactly one, which only HTTP/1.0 may leave out.
    let wanted = hosts.next().is_some() || version == Version::HTTP_10;
    if !wanted || hosts.next().is_some() {
        return Some("A request names its host in exactly one Host header");
    }
    // RFC 9112, 6.1: a coding that we do not undo would be read as if it were not there.
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let plain = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    (!plain || codings.next().is_some()).then_some("The only transfer coding taken is chunked")
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
pub(crate) fn only(
    allow: &'static str,
) -> impl Fn(State<Arc<Site>>, HeaderMap) -> Ready<Response<Full<Bytes>>> + Clone + Send + Sync + 'static {
    move |State(site), headers| ready(wrong_method(allow, &site.app.ambient, &headers))
}

async fn nothing_here(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response<Full<Bytes>> {
    let message = "Nothing is served at this address";
    Fault::of_request(StatusCode::NOT_FOUND, "not_found", message, &site.app.ambient).answer(&headers)
}
