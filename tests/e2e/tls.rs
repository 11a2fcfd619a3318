//! TLS with the authorities of the system: what is trusted where no setting says whom, by the exporters and by what sends
//! the collector's own telemetry.

use std::collections::BTreeSet;
use std::path::Path;

use tracecore_tests::{Authority, HttpServer, ServerTls};

use crate::process::{Process, tracecore};

/// A collector on a system that trusts who is in this file, and sends all that it has to `server`.
fn collector(server: &HttpServer, trusted: &Path, folder: &Path) -> Process {
    let base = base(server);
    let text = format!(
        "
receivers: {{clock: {{interval: 100ms}}}}
exporters: {{otlp_http: {{endpoint: '{base}/exported'}}}}
service: {{pipelines: {{metrics: {{receivers: [clock], exporters: [otlp_http]}}}}}}
telemetry:
  enabled: true
  listen: localhost:0
  push: {{endpoint: '{base}/pushed', interval: 1s}}
  traces: {{endpoint: '{base}/traced'}}
"
    );
    start(&text, trusted, folder)
}

fn base(server: &HttpServer) -> String {
    format!("https://localhost:{}", server.address().port())
}

/// A collector with this configuration on a system that trusts who is in this file.
fn start(text: &str, trusted: &Path, folder: &Path) -> Process {
    let config = folder.join("config.yaml");
    std::fs::write(&config, text).expect("the folder is ours");
    let mut command = tracecore(["collect", "--config", &config.display().to_string()]);
    Process::start(command.env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR"))
}

async fn secured(authority: &Authority) -> HttpServer {
    HttpServer::secured(authority.identity("localhost").acceptor(&ServerTls::default())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_trusted_by_the_system_is_sent_to() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a temporary folder"));
    let mut server = secured(&authority).await;
    let _process = collector(&server, &authority.file(), folder.path());
    let expected = ["exported/v1/metrics", "pushed/v1/metrics", "traced/v1/traces"];
    let mut expected: BTreeSet<_> = expected.map(|path| format!("POST /{path} HTTP/1.1")).into();
    while !expected.is_empty() {
        expected.remove(&server.call().await.line);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_trusted_by_the_system_is_sent_nothing() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a temporary folder"));
    let mut server = secured(&authority).await;
    let other = Authority::named("another");
    let mut process = collector(&server, &other.file(), folder.path());
    let untrusted = "the server's certificate is signed by no authority that is trusted: set tls.ca_file";
    let mut waiting = vec!["traced", "pushed", "otlp_http"];
    while !waiting.is_empty() {
        let line = process.logs(untrusted);
        waiting.retain(|who| !line.contains(who));
    }
    assert!(server.more().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_trusted_by_the_system_is_trusted_beside_others_where_the_settings_say_so() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a temporary folder"));
    let mut server = secured(&authority).await;
    let (base, other) = (base(&server), Authority::named("another"));
    let ca_file = other.file();
    let text = format!(
        "
receivers: {{clock: {{interval: 100ms}}}}
exporters:
  otlp_http/alone: {{endpoint: '{base}/alone', tls: {{ca_file: '{0}'}}}}
  otlp_http/beside: {{endpoint: '{base}/beside', tls: {{ca_file: '{0}', include_system_ca_certs_pool: true}}}}
service: {{pipelines: {{metrics: {{receivers: [clock], exporters: [otlp_http/alone, otlp_http/beside]}}}}}}
",
        ca_file.display()
    );
    let mut process = start(&text, &authority.file(), folder.path());
    let refused = process.logs("the server's certificate is signed by no authority that is trusted");
    assert!(refused.contains("otlp_http/alone"), "{refused}");
    assert_eq!(server.call().await.line, "POST /beside/v1/metrics HTTP/1.1");
    assert!(server.more().iter().all(|call| call.line.contains("/beside/")));
}
