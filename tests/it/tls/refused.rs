//! Who is not sent to, and what is said about it. All of it is tried again: certificates are renewed, and servers mended.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracecore::error::ErrorKind;
use tracecore::testing::{ScriptedReceiver as Source, TestService as Rig, metrics};
use tracecore_tests::{Authority, Identity, ServerTls};

use super::{AT_ONCE, Asker, BOTH, Peer, being, last_error, trusting};

const HERE: &str = "127.0.0.1";

const UNTRUSTED: &str =
    "the server's certificate is signed by no authority that is trusted: set tls.ca_file to its authority's";
const EXPIRED: &str = "the server's certificate is not valid at this time: renew it, or set this machine's clock";
const NAME: &str =
    "the server's certificate is for another name: use one of its names in the endpoint, or tls.server_name_override";
const CLIENT: &str = "the server wants a certificate of this client that it trusts: set tls.cert_file and tls.key_file";
const PLAINTEXT: &str = "the server does not speak TLS: set tls.insecure to true, or begin the endpoint with http://, if plaintext is meant";
const WANTED: &str =
    "the server speaks TLS and was asked in plaintext: set tls.insecure to false, or begin the endpoint with https://";
const VERSION: &str = "the server speaks no version of TLS, or no cipher suite, that is spoken here: see tls.min_version and tls.max_version";
const PROTOCOL: &str = "the server does not speak over TLS the HTTP that is asked for, HTTP/2 for gRPC and HTTP/1.1 for OTLP/HTTP: is this the right port?";
const CLOSED: &str = "the server ended the connection during the TLS handshake: if it does not speak TLS and plaintext is meant, set tls.insecure to true, or begin the endpoint with http://";

/// Sends a batch of this many items to `address`, and holds the error against what it must say. Whether it is tried again
/// shows in that it is.
async fn says(asker: Asker, secured: bool, address: SocketAddr, tls: &str, items: usize, message: &str) {
    let (rig, source) = asker.sending(&asker.endpoint(secured, address), tls).await;
    let _waiting = source.send(metrics("one", items));
    rig.wait_metric("tracecore_exporter_calls_total", &[("result", "failure")], |calls| calls >= 2.0).await;
    let (kind, told) = last_error(&rig, asker);
    assert_eq!(kind, ErrorKind::Connect, "{asker:?}: {told}");
    assert!(told.starts_with(&format!("cannot connect: {message}")), "{asker:?}: {told}");
    assert_eq!(rig.sample("tracecore_exporter_dropped_total", &[]), 0.0, "{asker:?}: {told}");
    drop(rig);
}

/// As [`says`], to a server that must not have got a request.
async fn refused(asker: Asker, acceptor: Option<TlsAcceptor>, tls: &str, message: &str) {
    let mut peer = Peer::start(asker, acceptor).await;
    says(asker, true, peer.address(), tls, 2, message).await;
    assert_eq!(peer.more(), 0, "{asker:?}: {message}");
}

fn acceptor(asker: Asker, identity: &Identity) -> Option<TlsAcceptor> {
    Some(identity.acceptor(&ServerTls { alpn: asker.alpn(), ..ServerTls::default() }))
}

#[tokio::test]
async fn a_server_of_another_authority() {
    let authority = Authority::new();
    for asker in BOTH {
        // Also one that calls itself the same.
        for other in [Authority::named("another"), Authority::new()] {
            refused(asker, acceptor(asker, &other.identity(HERE)), &trusting(&authority), UNTRUSTED).await;
        }
    }
}

#[tokio::test]
async fn a_server_whose_certificate_has_expired() {
    let authority = Authority::new();
    for asker in BOTH {
        refused(asker, acceptor(asker, &authority.expired(HERE)), &trusting(&authority), EXPIRED).await;
    }
}

#[tokio::test]
async fn a_server_of_another_name() {
    let authority = Authority::new();
    for asker in BOTH {
        refused(asker, acceptor(asker, &authority.identity("other.example")), &trusting(&authority), NAME).await;
        let settings = format!("{}, server_name_override: third.example", trusting(&authority));
        refused(asker, acceptor(asker, &authority.identity(HERE)), &settings, NAME).await;
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_that_we_have_not() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for asker in BOTH {
        for only in ["1.2", "1.3"] {
            let tls = ServerTls { clients_of: Some(&clients), only: Some(only), alpn: asker.alpn() };
            let acceptor = Some(authority.identity(HERE).acceptor(&tls));
            refused(asker, acceptor.clone(), &trusting(&authority), CLIENT).await;
            // Nor does one of another authority do, whatever that calls itself.
            for other in [Authority::named("another"), Authority::new()] {
                let settings = format!("{}, {}", trusting(&authority), being(&other.identity("client.example")));
                refused(asker, acceptor.clone(), &settings, CLIENT).await;
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_says_so_also_to_a_batch_that_no_buffer_holds() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for asker in BOTH {
        let tls = ServerTls { clients_of: Some(&clients), only: Some("1.3"), alpn: asker.alpn() };
        let mut peer = Peer::start(asker, Some(authority.identity(HERE).acceptor(&tls))).await;
        let source = Source::new();
        let settings = format!("compression: none\n{AT_ONCE}");
        let endpoint = asker.endpoint(true, peer.address());
        let rig = Rig::start(&asker.yaml(&source, &endpoint, &trusting(&authority), &settings)).await;
        let _waiting = source.send(metrics("one", 500_000));
        for attempt in 1..=3 {
            let failed = |calls| calls >= f64::from(attempt);
            rig.wait_metric("tracecore_exporter_calls_total", &[("result", "failure")], failed).await;
            let (kind, told) = last_error(&rig, asker);
            assert!(kind == ErrorKind::Connect && told.contains(CLIENT), "{asker:?} {attempt}: {told}");
        }
        assert_eq!(peer.more(), 0);
    }
}

#[tokio::test]
async fn a_server_that_speaks_plaintext() {
    let authority = Authority::new();
    for asker in BOTH {
        refused(asker, None, &trusting(&authority), PLAINTEXT).await;
        refused(asker, None, "insecure_skip_verify: true", PLAINTEXT).await;
    }
}

#[tokio::test]
async fn a_server_that_speaks_tls_to_who_asks_in_plaintext() {
    let authority = Authority::new();
    for asker in BOTH {
        let mut peer = Peer::secured(asker, &authority.identity(HERE)).await;
        says(asker, false, peer.address(), "insecure: true", 2, WANTED).await;
        assert_eq!(peer.more(), 0);
    }
}

#[tokio::test]
async fn a_server_of_another_version() {
    let authority = Authority::new();
    for asker in BOTH {
        for (only, versions) in [("1.2", "min_version: '1.3'"), ("1.3", "max_version: '1.2'")] {
            let tls = ServerTls { only: Some(only), alpn: asker.alpn(), ..ServerTls::default() };
            let acceptor = authority.identity(HERE).acceptor(&tls);
            refused(asker, Some(acceptor), &format!("{}, {versions}", trusting(&authority)), VERSION).await;
        }
    }
}

#[tokio::test]
async fn a_server_of_another_protocol() {
    let authority = Authority::new();
    let cases: [(Asker, &[&str]); 3] = [(Asker::Grpc, &["http/1.1"]), (Asker::Grpc, &[]), (Asker::Http, &["h2"])];
    for (asker, alpn) in cases {
        let tls = ServerTls { alpn, ..ServerTls::default() };
        let acceptor = authority.identity(HERE).acceptor(&tls);
        refused(asker, Some(acceptor), &trusting(&authority), PROTOCOL).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_up() {
    let authority = Authority::new();
    for asker in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move { while listener.accept().await.is_ok() {} });
        says(asker, true, address, &trusting(&authority), 2, CLOSED).await;
    }
}
