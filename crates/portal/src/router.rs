//! Every address of the portals, each with who may open it. Nothing is served that is not in this one list, and nothing
//! can be put into it without a rule: the tests walk the list with every role.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tower_http::csrf::CsrfLayer;

use crate::site::Site;
use crate::viewer;

/// The largest form that is read, in bytes.
const MOST_BYTES: usize = 256 * 1024;

/// Who may open an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anybody, also without a session.
    Public,
    /// Whoever is logged in at a partner, read-only members too.
    Partner,
    /// Members and owners of a partner: it changes something.
    PartnerMember,
    /// Owners of a partner: it changes who may do what.
    PartnerOwner,
}

/// One address.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path as the router has it, `/offers/{offer}`.
    pub path: &'static str,
    /// Who may open it.
    pub rule: Rule,
    /// What answers.
    serve: fn() -> MethodRouter<Arc<Site>>,
}

/// Declares the list: method, path, rule, handler.
macro_rules! routes {
    ($($method:ident $path:literal $rule:ident $handler:path;)*) => {
        /// Every address.
        pub static ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            rule: Rule::$rule,
            serve: || routes!(@ $method $handler),
        }),*];
    };
    (@ GET $handler:path) => { axum::routing::get($handler) };
    (@ POST $handler:path) => { axum::routing::post($handler) };
}

routes! {
    GET "/login" Public crate::login::show;
    POST "/login" Public crate::login::enter;
    POST "/logout" Public crate::login::leave;
    GET "/invitation/{token}" Public crate::invitation::show;
    POST "/invitation/{token}" Public crate::invitation::accept;
    GET "/reset/{token}" Public crate::invitation::show;
    POST "/reset/{token}" Public crate::invitation::accept;
    GET "/clicks" Partner crate::click::index;
    GET "/clicks.csv" Partner crate::click::file;
    GET "/conversions" Partner crate::conversion::index;
    GET "/conversions.csv" Partner crate::conversion::file;
    GET "/static/{file}" Public crate::asset::serve;
    POST "/theme" Public crate::theme::choose;
}

/// The portals' pages, to be merged into the server's router. Every handler stands behind the rule of its line, whatever
/// it asks for itself; a form that another site sent is refused before either.
pub fn routes(app: Arc<web::App>) -> Router {
    let site = Arc::new(Site::new(app));
    let add = |router: Router<Arc<Site>>, route: &Route| {
        let guard = middleware::from_fn_with_state((Arc::clone(&site), route.rule), keep_out);
        router.route(route.path, (route.serve)().route_layer(guard))
    };
    let pages = ROUTES.iter().fold(Router::new(), add).with_state(Arc::clone(&site));
    pages.layer(DefaultBodyLimit::max(MOST_BYTES)).layer(CsrfLayer::new())
}

async fn keep_out(State((site, rule)): State<(Arc<Site>, Rule)>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    match rule {
        Rule::Public => {}
        Rule::Partner | Rule::PartnerMember | Rule::PartnerOwner => {
            if let Err(refused) = viewer::admit(&mut head, &site, rule).await {
                return refused.into_response();
            }
        }
    }
    next.run(Request::from_parts(head, body)).await
}
