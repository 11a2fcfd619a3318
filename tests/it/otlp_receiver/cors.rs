//! Requests from pages of other origins.

use tracecore::testing::RecordingExporter as Sink;

use super::client::post;
use super::{Served, Settings};

const JSON: &str = "content-type: application/json\r\n";

fn preflight(origin: &str, method: &str, headers: &str) -> String {
    let headers =
        if headers.is_empty() { String::new() } else { format!("access-control-request-headers: {headers}\r\n") };
    format!(
        "OPTIONS /v1/traces HTTP/1.1\r\nhost: x\r\norigin: {origin}\r\naccess-control-request-method: {method}\r\n{headers}\r\n"
    )
}

#[tokio::test]
async fn a_page_that_is_allowed_may_send_and_another_may_not() {
    let http = "cors: {allowed_origins: ['https://*.example.com'], allowed_headers: [x-tenant], max_age: 600}";
    let mut served = Served::with(Settings { http, ..Settings::default() }, Sink::new()).await;
    let mut client = served.http().await;
    let ours = "https://page.example.com";
    let answer = client.ask(preflight(ours, "POST", "content-type,x-tenant")).await;
    let told = ["origin", "methods", "headers", "credentials"]
        .map(|what| answer.header(&format!("access-control-allow-{what}")));
    assert_eq!((answer.status, told), (204, [Some(ours), Some("POST"), Some("content-type,x-tenant"), Some("true")]));
    assert_eq!((answer.header("access-control-max-age"), answer.header("vary")), (Some("600"), Some("Origin")));

    let refused = [
        ("https://example.org", "POST", ""),
        ("https://page.example.com.evil.org", "POST", ""),
        ("null", "POST", ""),
        (ours, "DELETE", ""),
        (ours, "POST", "authorization"),
    ];
    for (origin, method, headers) in refused {
        let answer = client.ask(preflight(origin, method, headers)).await;
        assert_eq!(answer.header("access-control-allow-methods"), None, "{origin} {method} {headers}");
        assert_eq!(answer.header("access-control-allow-headers"), None);
    }
    // The browser decides by what the answer says, also of what was refused.
    for (origin, body, status, allowed) in
        [(ours, "{}", 200, Some(ours)), (ours, "no", 400, Some(ours)), ("https://example.org", "{}", 200, None)]
    {
        let answer = client.ask(post("/v1/traces", &format!("{JSON}origin: {origin}\r\n"), body.as_bytes())).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, allowed), "{origin} {body}");
    }
    served.still_serves().await;
    served.stop().await;
}

#[tokio::test]
async fn without_the_setting_no_answer_says_a_word_about_it() {
    let mut served = Served::start().await;
    let mut client = served.http().await;
    assert_eq!(client.ask(preflight("https://example.com", "POST", "")).await.status, 405);
    let answer = client.ask(post("/v1/traces", &format!("{JSON}origin: https://example.com\r\n"), b"{}")).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")), "{answer:?}");
    served.still_serves().await;
    served.stop().await;
}
