//! Bodies that nobody reads: the client that sends on hears its answer, and buys no time with them.

use super::*;

#[tokio::test]
async fn who_sends_on_after_the_answer_hears_it_and_keeps_the_connection() {
    let fixture = Fixture::with(Limits { body_bytes: LARGE, ..Limits::default() }).await;
    let mut client = fixture.client().await;
    // The handler looks at no body. The clock runs: one that is paused would not wait for so much to pass the socket.
    client.send(&format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {LARGE}\r\n\r\n")).await;
    client.send(&"x".repeat(LARGE)).await;
    assert_eq!(client.answer(true).await.status, 200);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn who_stops_in_a_body_that_nobody_wants_is_closed() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    let start = Instant::now();
    client.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await;
    assert_eq!(client.answer(true).await.status, 200);
    client.until_closed().await;
    assert_took(start, DISCARD_TIMEOUT);
}

#[tokio::test]
async fn no_more_of_a_body_is_read_for_nobody_than_is_allowed() {
    let fixture = Fixture::with(Limits { body_bytes: 1 << 20, ..Limits::default() }).await;
    let mut client = fixture.client().await;
    let start = Instant::now();
    client.send("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n200000\r\n").await;
    client.send(&"x".repeat((1 << 20) + 1)).await;
    assert_eq!(client.answer(true).await.status, 200);
    client.until_closed().await;
    assert!(start.elapsed() < DISCARD_TIMEOUT, "it was closed for its size");
}

#[tokio::test]
async fn who_asks_before_it_sends_is_not_waited_for() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    let start = Instant::now();
    client.send("POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n").await;
    assert_eq!(client.answer(true).await.status, 200);
    client.until_closed().await;
    assert!(start.elapsed() < DISCARD_TIMEOUT);
}
