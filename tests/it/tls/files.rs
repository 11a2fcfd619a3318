//! The files of certificates and keys: what is wrong with them is known at the start, and they can be renewed.

use std::fs;
use std::path::Path;

use tracecore::runtime::StartError;
use tracecore::testing::{ScriptedReceiver as Source, TestService as Rig};
use tracecore_tests::{Authority, ServerTls};

use super::{AT_ONCE, Asker, BOTH, Peer, being, file, trusting};

const HERE: &str = "127.0.0.1";

/// Bytes of more certificates than anybody has.
const TOO_MANY: u64 = 5 << 20;

#[tokio::test]
async fn files_that_cannot_be_used_are_errors_of_the_start_with_their_place() {
    let authority = Authority::new();
    let (one, other) = (authority.identity(HERE), authority.identity(HERE));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (empty, missing) = (write("empty.pem", b""), folder.path().join("missing.pem"));
    let broken = write("broken.pem", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    let hollow = write("hollow.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let large = write("large.pem", b"");
    fs::File::options().write(true).open(&large).unwrap().set_len(TOO_MANY).unwrap();
    let pair = |cert: &Path, key: &Path| format!("{}, {}", file("cert_file", cert), file("key_file", key));
    let place = |setting: &str, path: &Path| format!("tls.{setting} ({})", path.display());
    let cases = [
        (file("ca_file", &missing), place("ca_file", &missing) + ": cannot be read: No such file"),
        (file("ca_file", folder.path()), place("ca_file", folder.path()) + ": cannot be read: Is a directory"),
        (file("ca_file", &large), place("ca_file", &large) + ": cannot be read: it is larger than 4194304 bytes"),
        (file("ca_file", &empty), place("ca_file", &empty) + ": there is no PEM block of a certificate in it"),
        (file("ca_file", &one.key_file), place("ca_file", &one.key_file) + ": there is no PEM block of a certificate"),
        (file("ca_file", &broken), place("ca_file", &broken) + ": is not what it should be"),
        (file("ca_file", &hollow), place("ca_file", &hollow) + ": is not what it should be"),
        (pair(&missing, &one.key_file), place("cert_file", &missing) + ": cannot be read"),
        (pair(&one.cert_file, &missing), place("key_file", &missing) + ": cannot be read"),
        (pair(&one.cert_file, &empty), place("key_file", &empty) + ": there is no PEM block of a private key in it"),
        (pair(&empty, &one.key_file), place("cert_file", &empty) + ": there is no PEM block of a certificate in it"),
        (
            pair(&one.cert_file, &other.key_file),
            format!(
                "{}, {}: this certificate and this key cannot be used together",
                place("cert_file", &one.cert_file),
                place("key_file", &other.key_file)
            ),
        ),
    ];
    for asker in BOTH {
        for (tls, message) in &cases {
            let source = Source::new();
            // The authority is read before the identity.
            let tls = if tls.starts_with("ca") { tls.clone() } else { format!("{}, {tls}", trusting(&authority)) };
            let yaml = asker.yaml(&source, &asker.endpoint(true, "127.0.0.1:1"), &tls, "");
            let Err(StartError::Component { id, message: told, .. }) = Rig::try_start(&yaml).await else {
                panic!("{asker:?} starts with {tls}")
            };
            assert_eq!(id.as_str(), asker.id());
            assert!(told.contains(message.as_str()), "{tls}: {told}");
        }
    }
}

#[tokio::test]
async fn what_is_not_asked_over_tls_reads_no_files() {
    let mut peer = Peer::start(Asker::Grpc, None).await;
    let source = Source::new();
    let tls = "insecure: true, cert_file: /nowhere/cert.pem, key_file: /nowhere/key.pem";
    let endpoint = Asker::Grpc.endpoint(false, peer.address());
    let rig = Rig::start(&Asker::Grpc.yaml(&source, &endpoint, tls, AT_ONCE)).await;
    peer.is_sent_to(&source, "in plaintext").await;
    rig.stop().await;
}

#[tokio::test]
async fn renewed_files_are_read_again_and_broken_ones_are_not_used() {
    let (first, second) = (Authority::new(), Authority::new());
    let ours = first.identity("client.example");
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    for asker in BOTH {
        fs::copy(first.file(), &ca).unwrap();
        Authority::replace(&ours, &first.identity("client.example"));
        let server = |authority: &Authority| {
            let tls = ServerTls { clients_of: Some(authority), alpn: asker.alpn(), ..ServerTls::default() };
            Some(authority.identity(HERE).acceptor(&tls))
        };
        let mut peer = Peer::start(asker, server(&first)).await;
        let address = peer.address();
        let tls = format!("{}, {}, reload_interval: 1ms", file("ca_file", &ca), being(&ours));
        let (rig, source) = asker.sending(&asker.endpoint(true, address), &tls).await;
        peer.is_sent_to(&source, "first").await;

        fs::write(&ca, "half of a file").unwrap();
        peer.end().await;
        let mut peer = Peer::at(&address.to_string(), asker, server(&first)).await;
        peer.is_sent_to(&source, "still the first").await;

        fs::copy(second.file(), &ca).unwrap();
        Authority::replace(&ours, &second.identity("client.example"));
        peer.end().await;
        let mut peer = Peer::at(&address.to_string(), asker, server(&second)).await;
        peer.is_sent_to(&source, "second").await;
        rig.stop().await;
    }
}
