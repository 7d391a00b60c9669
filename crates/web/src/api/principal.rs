//! Who asks: the owner of a live token of the network that the host names.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use domain::api_token::Authority;
use domain::catalog::Catalog;
use domain::period::Period;
use domain::secret::SecretHash;
use http_body_util::Full;
use store::api_token;

use crate::app::App;
use crate::origin;
use crate::router::Site;

use super::Refused;

const SCHEME: &str = "ApiToken";

/// Whoever asks, with what it may see, and the catalog as it was when it asked.
pub(super) struct Principal {
    pub(super) authority: Authority,
    pub(super) catalog: Arc<Catalog>,
}

impl FromRequestParts<Arc<Site>> for Principal {
    type Rejection = Response<Full<Bytes>>;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Self::Rejection> {
        let app = &site.app;
        authorize(app, head).await.map_err(|refused| refused.answer(&app.ambient))
    }
}

async fn authorize(app: &App, head: &Parts) -> Result<Principal, Refused> {
    let hash = token(&head.headers).map(SecretHash::of).ok_or(Refused::NotAuthorized)?;
    let catalog = app.live.catalog.load_full();
    let network = catalog.network_of_host(origin::host(head)).map(|network| network.id);
    let found = app.db.read(move |tx| api_token::live(tx, hash)).await?;
    let token = found.filter(|token| Some(token.authority.network()) == network);
    let token = token.ok_or(Refused::NotAuthorized)?;
    let now = app.ambient.now();
    if token.used_day != Some(Period::Day.start(now)) {
        // Only for the list of tokens: that it cannot be written is no reason to refuse.
        let noted: Result<(), store::Error> = app.db.write(move |tx| api_token::used(tx, hash, now)).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "cannot note that an API token was used");
        }
    }
    Ok(Principal { authority: token.authority, catalog })
}

/// The token, when there is exactly one.
fn token(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (only, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_stands_behind_its_scheme_once() {
        let given = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            token(&headers).map(str::to_owned)
        };
        assert_eq!(given(&["ApiToken plt_x"]).as_deref(), Some("plt_x"));
        assert_eq!(given(&["apitoken  plt_x "]).as_deref(), Some("plt_x"));
        for none in [&[][..], &["plt_x"], &["Bearer plt_x"], &["ApiToken "], &["ApiToken a", "ApiToken a"]] {
            assert_eq!(given(none), None, "{none:?}");
        }
    }
}
