//! What is sent, and where to.

use tracecore::testing::{ScriptedReceiver as Source, TestService as Rig, build_error, logs, metrics, spans};
use tracecore_tests::HttpServer;

use super::{accepted, sending, with, yaml};

#[tokio::test]
async fn each_signal_arrives_in_each_form() {
    let encodings = [("proto", "application/x-protobuf"), ("json", "application/json")];
    let compressions = [
        ("gzip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("deflate", Some("deflate")),
        ("zlib", Some("deflate")),
        ("none", None),
        ("''", None),
    ];
    for (encoding, content_type) in encodings {
        for (compression, content_encoding) in compressions {
            let mut server = HttpServer::start().await;
            let (rig, source) = sending(&server, &format!("encoding: {encoding}\ncompression: {compression}")).await;
            for (path, batch) in [("traces", spans("a", 3)), ("metrics", metrics("b", 2000)), ("logs", logs("c", 1))] {
                accepted(&source.emit(batch.clone()).await);
                let call = server.call().await;
                assert_eq!(call.line, format!("POST /v1/{path} HTTP/1.1"));
                let came = call.batch(batch.signal());
                assert_eq!(came.parts().concat(), batch.parts().concat(), "{encoding} {compression}");
                let header = |name: &str| call.headers.get(name).map(|value| value.to_str().unwrap());
                assert_eq!(header("content-type"), Some(content_type));
                assert_eq!(header("content-encoding"), content_encoding);
                assert_eq!(header("host"), Some(&*server.address().to_string()));
                assert_eq!(header("user-agent"), Some("tracecore/1.2.3"));
                if batch.items() > 100 {
                    assert_eq!(call.size < call.body.len(), content_encoding.is_some(), "{encoding} {compression}");
                }
                assert_eq!(call.connection, 0, "one connection carries all, one after the other");
            }
            rig.stop().await;
        }
    }
}

#[tokio::test]
async fn gzip_and_protobuf_are_what_nobody_has_to_ask_for() {
    let mut server = HttpServer::start().await;
    let (rig, source) = sending(&server, "").await;
    accepted(&source.emit(metrics("one", 1)).await);
    let call = server.call().await;
    assert_eq!(
        (call.headers["content-encoding"].as_bytes(), call.headers["content-type"].as_bytes()),
        (&b"gzip"[..], &b"application/x-protobuf"[..])
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_level_changes_how_small_it_gets() {
    let mut sizes = Vec::new();
    for level in [1, 9] {
        let mut server = HttpServer::start().await;
        let (rig, source) = sending(&server, &format!("compression_params: {{level: {level}}}")).await;
        accepted(&source.emit(metrics("one", 20_000)).await);
        sizes.push(server.call().await.size);
        rig.stop().await;
    }
    assert!(sizes[0] > sizes[1], "{sizes:?}");
}

#[tokio::test]
async fn each_signal_can_have_a_server_of_its_own() {
    let (mut base, mut traces, mut logs_server) =
        (HttpServer::start().await, HttpServer::start().await, HttpServer::start().await);
    let settings = format!(
        "endpoint: http://{}/base/\ntraces_endpoint: http://{}/some/where\nlogs_endpoint: http://{}",
        base.address(),
        traces.address(),
        logs_server.address()
    );
    let (rig, source) = with(&settings).await;
    for batch in [spans("a", 1), metrics("b", 1), logs("c", 1)] {
        accepted(&source.emit(batch).await);
    }
    assert_eq!(base.call().await.line, "POST /base/v1/metrics HTTP/1.1");
    assert_eq!(traces.call().await.line, "POST /some/where HTTP/1.1");
    assert_eq!(logs_server.call().await.line, "POST / HTTP/1.1", "the whole URL, and nothing appended");
    for server in [&mut base, &mut traces, &mut logs_server] {
        assert!(server.more().is_empty());
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_signal_that_has_nowhere_to_go_is_an_error_of_the_configuration() {
    let mut server = HttpServer::start().await;
    let source = Source::new();
    let only_metrics = yaml(&source, &format!("metrics_endpoint: http://{}/m", server.address()));
    let error = build_error(&only_metrics).to_string();
    let refused = |signal| {
        format!(":5:5: exporters.otlp_http: there is no endpoint for {signal}: set `endpoint` or `{signal}_endpoint`")
    };
    for (signal, is_refused) in [("traces", true), ("metrics", false), ("logs", true)] {
        assert_eq!(error.contains(&refused(signal)), is_refused, "{signal}: {error}");
    }
    // What no pipeline carries needs none.
    let other = |signal| format!("\n    {signal}: {{receivers: [test_source], exporters: [otlp_http]}}");
    let rig = Rig::start(&only_metrics.replace(&other("traces"), "").replace(&other("logs"), "")).await;
    accepted(&source.emit(metrics("one", 1)).await);
    assert_eq!(server.call().await.line, "POST /m HTTP/1.1");
    rig.stop().await;
}

#[test]
fn what_is_not_there_yet_is_refused_with_a_word() {
    for (setting, word) in
        [("proxy_url: http://p:1", "is asked directly"), ("profiles_endpoint: http://p:1", "is not there yet")]
    {
        let error = build_error(&yaml(&Source::new(), &format!("endpoint: http://h:1\n{setting}"))).to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[tokio::test]
async fn the_configured_headers_are_sent() {
    let mut server = HttpServer::start().await;
    let (rig, source) = sending(&server, "headers: {Authorization: Bearer hunter2, user-agent: mine}").await;
    accepted(&source.emit(metrics("one", 1)).await);
    let call = server.call().await;
    assert_eq!(call.headers["authorization"], "Bearer hunter2");
    assert_eq!(call.headers.get_all("user-agent").iter().collect::<Vec<_>>(), ["mine"]);
    rig.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_with_the_place() {
    let source = Source::new();
    let cases = [
        ("", "there is no `endpoint`, nor one for each signal"),
        ("endpoint: ''", "endpoint: must be a URL that begins with http:// or https://"),
        ("endpoint: gateway:4318", "endpoint: must be a URL"),
        ("endpoint: http://a:b@gateway", "endpoint: must not contain a user name"),
        ("logs_endpoint: http://gateway?a=b", "logs_endpoint: must not contain a query"),
        ("endpoint: http://a\nencoding: xml", "encoding"),
        ("endpoint: http://a\ncompression: snappy", "compression"),
        ("endpoint: http://a\ncompression_params: {level: 40}", "compression_params.level"),
        ("endpoint: http://a\nauth: {authenticator: x}", "auth: is not there yet"),
        ("endpoint: http://a\nheaders: {content-type: hunter2}", "headers: `content-type` is set by tracecore"),
        ("endpoint: http://a\nheaders: {a b: hunter2}", "headers: `a b` is no name of a header"),
        ("endpoint: https://a\ntls: {key_file: x}", "`cert_file` (or `cert_pem`) is missing"),
        (
            "endpoint: https://a\ntls: {key_pem: hunter2, cert_file: x}",
            "tls.key_pem: there is no PEM block of a private key",
        ),
    ];
    for (settings, message) in cases {
        let error = build_error(&yaml(&source, settings)).to_string();
        assert!(error.contains(message) && !error.contains("hunter2"), "{settings}: {error}");
    }
}
