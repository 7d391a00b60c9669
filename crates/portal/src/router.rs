//! Every address of the portals, each with who may open it. Nothing is served that is not in this one list, and nothing
//! can be put into it without a rule: the tests walk the list with every role.

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;

use crate::site::Site;

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

routes! {}

/// The portals' pages, to be merged into the server's router.
pub fn routes(app: Arc<web::App>) -> Router {
    let site = Arc::new(Site { app });
    let add = |router: Router<Arc<Site>>, route: &Route| router.route(route.path, (route.serve)());
    ROUTES.iter().fold(Router::new(), add).with_state(site)
}
