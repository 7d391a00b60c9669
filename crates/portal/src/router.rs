//! Every address of the portals, each with who may open it. Nothing is served that is not in this one list, and nothing
//! can be put into it without a rule: the tests walk the list with every role.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::page;
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
    GET "/" Public crate::front::show;
    GET "/login" Public crate::login::show;
    POST "/login" Public crate::login::enter;
    POST "/logout" Public crate::login::leave;
    GET "/invitation/{token}" Public crate::invitation::show;
    POST "/invitation/{token}" Public crate::invitation::accept;
    GET "/reset/{token}" Public crate::invitation::show;
    POST "/reset/{token}" Public crate::invitation::accept;
    GET "/totp" Public crate::login::code::show;
    POST "/totp" Public crate::login::code::enter;
    GET "/forgotten" Public crate::reset::show;
    POST "/forgotten" Public crate::reset::ask;
    GET "/profile" Partner crate::profile::show;
    POST "/profile" Partner crate::profile::save;
    POST "/profile/password" Partner crate::profile::password::change;
    GET "/profile/sessions" Partner crate::profile::sessions::show;
    POST "/profile/sessions/end" Partner crate::profile::sessions::end_all;
    POST "/profile/sessions/{session}/end" Partner crate::profile::sessions::end;
    GET "/profile/totp" Partner crate::profile::totp::show;
    POST "/profile/totp" Partner crate::profile::totp::begin;
    POST "/profile/totp/end" Partner crate::profile::totp::end;
    GET "/team" Partner crate::team::show;
    POST "/team/invite" PartnerOwner crate::team::change::invite;
    POST "/team/{user}/link" PartnerOwner crate::team::change::link;
    POST "/team/{user}/role" PartnerOwner crate::team::change::role;
    POST "/team/{user}/remove" PartnerOwner crate::team::change::remove;
    GET "/home" Partner crate::home::show;
    GET "/clicks" Partner crate::click::index;
    GET "/clicks.csv" Partner crate::click::file;
    GET "/trace/{id}" Partner crate::trace::show;
    GET "/reports" Partner crate::report::show;
    GET "/reports.csv" Partner crate::report::file;
    POST "/reports/views" PartnerMember crate::saved_view::keep;
    POST "/reports/views/forget" PartnerMember crate::saved_view::forget;
    GET "/search" Partner crate::search::show;
    GET "/conversions" Partner crate::conversion::index;
    GET "/conversions.csv" Partner crate::conversion::file;
    GET "/offers" Partner crate::offer::list;
    GET "/offers.csv" Partner crate::offer::file;
    GET "/offers/{offer}" Partner crate::offer::show;
    GET "/offers/{offer}/customise" Partner crate::offer::customise;
    POST "/offers/{offer}/link" PartnerMember crate::offer::request;
    GET "/offers/{offer}/checklist" Partner crate::checklist::show;
    POST "/offers/{offer}/copied" Partner crate::checklist::note_copied;
    GET "/offers/{offer}/test" Partner crate::test_tab::show;
    GET "/offers/{offer}/test/live" Partner crate::test_tab::live;
    POST "/offers/{offer}/test/click" PartnerMember crate::test_tab::click;
    POST "/offers/{offer}/test/conversion" PartnerMember crate::test_tab::convert;
    GET "/offers/{offer}/events" Partner crate::offer::events;
    GET "/offers/{offer}/postbacks" Partner crate::offer::postbacks;
    GET "/offers/{offer}/activity" Partner crate::offer::activity;
    GET "/postbacks" Partner crate::postback::index;
    POST "/postbacks" PartnerMember crate::postback::form::create;
    GET "/postbacks/new" PartnerMember crate::postback::form::new;
    GET "/postbacks/builder" Partner crate::builder::show;
    GET "/postbacks/secret" Partner crate::postback::secret::show;
    POST "/postbacks/secret/rotate" PartnerMember crate::postback::secret::rotate;
    POST "/postbacks/secret/end" PartnerMember crate::postback::secret::end;
    GET "/postbacks/{postback}" Partner crate::postback::show;
    POST "/postbacks/{postback}" PartnerMember crate::postback::form::update;
    GET "/postbacks/{postback}/edit" PartnerMember crate::postback::form::edit;
    POST "/postbacks/{postback}/switch" PartnerMember crate::postback::form::switch;
    POST "/postbacks/{postback}/remove" PartnerMember crate::postback::form::remove;
    POST "/postbacks/{postback}/test" PartnerMember crate::postback::trial::send;
    GET "/postbacks/{postback}/replay" PartnerMember crate::postback::again::replay_preview;
    POST "/postbacks/{postback}/replay" PartnerMember crate::postback::again::replay;
    GET "/postbacks/{postback}/backfill" PartnerMember crate::postback::again::backfill_preview;
    POST "/postbacks/{postback}/backfill" PartnerMember crate::postback::again::backfill;
    GET "/deliveries/{delivery}" Partner crate::delivery::show;
    POST "/deliveries/{delivery}/again" PartnerMember crate::delivery::again;
    GET "/tokens" Partner crate::token::index;
    POST "/tokens" PartnerOwner crate::token::create;
    POST "/tokens/revoke" PartnerOwner crate::token::revoke;
    GET "/static/{file}" Public crate::asset::serve;
    POST "/theme" Public crate::theme::choose;
    GET "/design" Partner crate::design::show;
    GET "/help" Partner crate::help::show;
}

/// No pages at all: what a server has before it has these.
pub fn none() -> Router {
    Router::default()
}

/// The portals' pages, to be merged into the server's router. Every handler stands behind the rule of its line,
/// whatever it asks for itself; a form that another site sent is refused before either.
pub fn routes(app: Arc<web::App>) -> Router {
    let site = Arc::new(Site::new(app));
    let add = |router: Router<Arc<Site>>, route: &Route| {
        let guard = middleware::from_fn_with_state((Arc::clone(&site), route.rule), keep_out);
        router.route(route.path, (route.serve)().route_layer(guard))
    };
    let pages = ROUTES.iter().fold(Router::new(), add).with_state(Arc::clone(&site));
    let csrf = CsrfLayer::new().with_rejection_response(|_: ProtectionError| from_elsewhere());
    pages.layer(DefaultBodyLimit::max(MOST_BYTES)).layer(csrf).layer(middleware::from_fn(page::in_colours))
}

fn from_elsewhere() -> Response {
    let words = "This form was not sent from a page of this site, so nothing was done. Open the page here and send it \
                 again.";
    page::notice(StatusCode::FORBIDDEN, "Not from here", words).into_response()
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
