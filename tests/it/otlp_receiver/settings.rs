//! What the receiver is not started with.

use tracecore::testing::{RecordingExporter as Sink, build_error};

#[test]
fn a_server_that_was_to_be_encrypted_or_guarded_does_not_start() {
    let sink = Sink::new();
    for protocol in ["grpc", "http"] {
        for (key, settings, says) in [
            ("tls", "{cert_file: /cert.pem, key_file: /key.pem}", "servers speak plain text"),
            ("auth", "{authenticator: oidc}", "servers ask nobody who they are"),
        ] {
            let error = build_error(&format!(
                "
receivers:
  otlp: {{protocols: {{{protocol}: {{{key}: {settings}}}}}}}
exporters:
  test_sink: {{key: {sink}}}
service:
  pipelines:
    logs: {{receivers: [otlp], exporters: [test_sink]}}
"
            ));
            let error = error.to_string();
            let place = format!("receivers.otlp.protocols.{protocol}.{key}: is not there yet: {says}");
            assert!(error.contains(&place), "{error}");
        }
    }
}
