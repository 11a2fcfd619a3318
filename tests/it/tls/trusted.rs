//! Who is sent to.

use tracecore::testing::{ScriptedReceiver as Source, TestService as Rig};
use tracecore_tests::{Authority, ServerTls};

use super::{AT_ONCE, Asker, BOTH, Peer, being, delivers, delivers_to, trusting};

const HERE: &str = "127.0.0.1";

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_sent_to_by_address_and_by_name() {
    let authority = Authority::new();
    for asker in BOTH {
        for host in [HERE, "localhost"] {
            let peer = Peer::secured(asker, &authority.identity(host)).await;
            delivers(asker, peer, host, &trusting(&authority)).await;
        }
    }
}

#[tokio::test]
async fn what_is_spoken_is_agreed_upon_and_http_1_needs_no_agreement() {
    let authority = Authority::new();
    let cases: [(Asker, &[&str]); 4] = [
        (Asker::Grpc, &["http/1.1", "h2"]),
        (Asker::Http, &["h2", "http/1.1"]),
        (Asker::Http, &["http/1.1"]),
        (Asker::Http, &[]),
    ];
    for (asker, alpn) in cases {
        let tls = ServerTls { alpn, ..ServerTls::default() };
        let peer = Peer::start(asker, Some(authority.identity(HERE).acceptor(&tls))).await;
        delivers(asker, peer, HERE, &trusting(&authority)).await;
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_ours() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for asker in BOTH {
        for only in ["1.2", "1.3"] {
            let tls = ServerTls { clients_of: Some(&clients), only: Some(only), alpn: asker.alpn() };
            let peer = Peer::start(asker, Some(authority.identity(HERE).acceptor(&tls))).await;
            let settings = format!("{}, {}", trusting(&authority), being(&clients.identity("client.example")));
            delivers(asker, peer, HERE, &settings).await;
        }
    }
}

#[tokio::test]
async fn a_certificate_may_be_for_the_name_that_the_settings_say() {
    let authority = Authority::new();
    for asker in BOTH {
        let peer = Peer::secured(asker, &authority.identity("gateway.example")).await;
        delivers(asker, peer, HERE, &format!("{}, server_name_override: gateway.example", trusting(&authority))).await;
    }
    // As in gRPC, the name that stands in the requests is also the one that the certificate is to have.
    let mut peer = Peer::secured(Asker::Grpc, &authority.identity("tenant.example")).await;
    let endpoint = Asker::Grpc.endpoint(true, peer.address());
    let source = Source::new();
    let settings = format!("authority: tenant.example:443\n{AT_ONCE}");
    let yaml = Asker::Grpc.yaml(&source, &endpoint, &trusting(&authority), &settings);
    let rig = Rig::start(&yaml).await;
    peer.is_sent_to(&source, "by another name").await;
    rig.stop().await;
}

#[tokio::test]
async fn the_versions_of_the_settings_are_spoken() {
    let authority = Authority::new();
    for asker in BOTH {
        for (only, versions) in [
            ("1.2", ""),
            ("1.3", ""),
            ("1.3", ", min_version: '1.3'"),
            ("1.2", ", max_version: '1.2'"),
            ("1.3", ", max_version: '1.3'"),
        ] {
            let tls = ServerTls { only: Some(only), alpn: asker.alpn(), ..ServerTls::default() };
            let peer = Peer::start(asker, Some(authority.identity(HERE).acceptor(&tls))).await;
            delivers(asker, peer, HERE, &format!("{}{versions}", trusting(&authority))).await;
        }
    }
}

#[tokio::test]
async fn whoever_answers_is_trusted_where_the_settings_say_so() {
    let (authority, nobody) = (Authority::new(), Authority::new());
    for asker in BOTH {
        for identity in [nobody.identity(HERE), authority.expired(HERE), authority.identity("other.example")] {
            for only in ["1.2", "1.3"] {
                let tls = ServerTls { only: Some(only), alpn: asker.alpn(), ..ServerTls::default() };
                let peer = Peer::start(asker, Some(identity.acceptor(&tls))).await;
                delivers(asker, peer, HERE, "insecure_skip_verify: true").await;
            }
        }
    }
}

#[tokio::test]
async fn certificates_may_stand_in_the_settings() {
    let authority = Authority::new();
    let (server, client) = (authority.identity(HERE), authority.identity("client.example"));
    let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap().replace('\n', "\\n");
    let settings = format!(
        "ca_pem: \"{}\", cert_pem: \"{}\", key_pem: \"{}\"",
        text(&authority.file()),
        text(&client.cert_file),
        text(&client.key_file)
    );
    for asker in BOTH {
        let tls = ServerTls { clients_of: Some(&authority), alpn: asker.alpn(), ..ServerTls::default() };
        let peer = Peer::start(asker, Some(server.acceptor(&tls))).await;
        delivers(asker, peer, HERE, &settings).await;
    }
}

#[tokio::test]
async fn insecure_gives_way_to_a_url_and_to_an_authority() {
    let authority = Authority::new();
    for asker in BOTH {
        let peer = Peer::secured(asker, &authority.identity(HERE)).await;
        delivers(asker, peer, HERE, "insecure: true, insecure_skip_verify: true").await;
    }
    let peer = Peer::secured(Asker::Grpc, &authority.identity(HERE)).await;
    let endpoint = peer.address().to_string();
    delivers_to(&endpoint, Asker::Grpc, peer, &format!("insecure: true, {}", trusting(&authority))).await;
}

#[tokio::test]
async fn an_endpoint_without_a_scheme_is_asked_over_tls_unless_the_settings_say_otherwise() {
    let authority = Authority::new();
    let peer = Peer::secured(Asker::Grpc, &authority.identity(HERE)).await;
    delivers_to(&peer.address().to_string(), Asker::Grpc, peer, &trusting(&authority)).await;
    let peer = Peer::start(Asker::Grpc, None).await;
    delivers_to(&peer.address().to_string(), Asker::Grpc, peer, "insecure: true").await;
}
