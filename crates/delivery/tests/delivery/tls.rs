//! TLS with real certificates, made for the test.

use std::sync::Arc;

use delivery::{
    client::{Client, FailedKind, Outcome, Settings},
    guard::Guard,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::endpoint::{Endpoint, attempt, client_for, quick, read_request, resolving_to, rules};

/// A server that speaks TLS with a certificate for this name, and that certificate.
async fn secure(name: &str) -> (Endpoint, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let certificate = cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let endpoint = Endpoint::start(move |stream: TcpStream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
            let _ = stream.shutdown().await;
        }
    });
    (endpoint.await, certificate)
}

fn client(endpoint: &Endpoint, extra_roots: Vec<CertificateDer<'static>>) -> Client {
    let guard = Guard::public().allowing(rules(&[&endpoint.address.to_string()]));
    let settings = Settings { extra_roots, ..quick() };
    Client::with_lookup(guard, settings, resolving_to(&["127.0.0.1"])).unwrap()
}

fn tls_failure(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed { kind: FailedKind::Tls, message, .. } => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_trusted_certificate_is_accepted_for_its_name_only() {
    let (endpoint, certificate) = secure("partner.example").await;
    let port = endpoint.address.port();
    let client = client(&endpoint, vec![certificate]);
    let outcome = attempt(&client, &format!("https://partner.example:{port}/")).await;
    assert!(
        matches!(&outcome, Outcome::Answered { status: 200, body_head, .. } if body_head == b"hi"),
        "{outcome:?}"
    );
    let outcome = attempt(&client, &format!("https://other.example:{port}/")).await;
    assert!(tls_failure(&outcome).contains("not valid for name"), "{outcome:?}");
    let outcome = attempt(&client, &format!("https://127.0.0.1:{port}/")).await;
    assert!(tls_failure(&outcome).contains("not valid for name"), "{outcome:?}");
}

#[tokio::test]
async fn an_unknown_issuer_is_refused() {
    let (endpoint, _) = secure("partner.example").await;
    let client = client(&endpoint, vec![]);
    let outcome = attempt(&client, &format!("https://partner.example:{}/", endpoint.address.port())).await;
    assert!(tls_failure(&outcome).contains("UnknownIssuer"), "{outcome:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_failure() {
    let endpoint = Endpoint::start(|mut stream: TcpStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        read_request(&mut stream).await;
    })
    .await;
    let client = client_for(&[&endpoint.address.to_string()], quick());
    let outcome = attempt(&client, &format!("https://{}/", endpoint.address)).await;
    tls_failure(&outcome);
}

#[test]
fn an_extra_root_that_is_no_certificate_is_an_error_at_start() {
    let settings = Settings { extra_roots: vec![CertificateDer::from(vec![1, 2, 3])], ..Settings::default() };
    let error = Client::new(Guard::public(), settings).unwrap_err().to_string();
    assert!(error.starts_with("TLS for outgoing requests: "), "{error}");
}
