//! How streams and connections of HTTP/2 end: too much of a body, answers that nobody takes, a shutdown.

use super::http2::{ended, get, limits, polite, polite_by, status};
use super::*;

/// A `POST` with a body, which may say how long it is.
async fn upload(fixture: &Fixture, declared: Option<usize>, body: &'static str, ends: bool) -> u16 {
    let mut request = Request::post("http://x/upload");
    if let Some(declared) = declared {
        request = request.header("content-length", declared);
    }
    let (answer, mut rest) = polite(fixture).await.send_request(request.body(()).unwrap(), false).unwrap();
    rest.send_data(Bytes::from_static(body.as_bytes()), ends).unwrap();
    status(answer).await
}

#[tokio::test(start_paused = true)]
async fn a_body_above_the_limit_is_refused() {
    let fixture = Fixture::with(Limits { body_bytes: 10, ..limits() }).await;
    assert_eq!(upload(&fixture, Some(10), "0123456789", true).await, 200);
    assert_eq!(upload(&fixture, None, "0123456789", true).await, 200);
    assert_eq!(upload(&fixture, None, "01234567890", false).await, 413, "before its end has come");
    assert_eq!(upload(&fixture, Some(11), "", false).await, 413, "before any of it has come");
    let told = Event::Request(Method::Post, "unknown", Some(413));
    fixture.seen.wait_for(told, 2).await;
}

/// A client that takes so many bytes of each answer.
async fn frugal(fixture: &Fixture, window: u32) -> h2::client::SendRequest<Bytes> {
    polite_by(fixture, h2::client::Builder::new().initial_window_size(window)).await
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_answer_is_not_taken_is_reset_and_told_of_without_a_status() {
    let fixture = Fixture::with(limits()).await;
    let start = Instant::now();
    let mut client = frugal(&fixture, 0).await;
    let mut answer = get(&mut client, "/").await.unwrap();
    let error = answer.body_mut().data().await.unwrap().unwrap_err();
    assert!(error.is_reset() && error.is_remote(), "{error}");
    assert_took(start, REQUEST_TIMEOUT + WRITE_STALL_TIMEOUT);
    fixture.seen.wait_for(ended(None), 1).await;
    assert_eq!(fixture.seen.requests(), [ended(None)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_which_the_client_takes_a_part_is_told_of_without_a_status() {
    let fixture = Fixture::with(limits()).await;
    let mut client = frugal(&fixture, 1).await;
    let mut answer = get(&mut client, "/").await.unwrap();
    assert_eq!(answer.body_mut().data().await.unwrap().unwrap(), "h");
    assert_eq!(fixture.seen.requests(), [], "the rest waits");
    drop(answer);
    fixture.seen.wait_for(ended(None), 1).await;

    // One that goes on taking has the whole.
    let mut answer = get(&mut client, "/").await.unwrap();
    let mut taken = Vec::new();
    while let Some(piece) = answer.body_mut().data().await {
        let piece = piece.unwrap();
        taken.extend_from_slice(&piece);
        answer.body_mut().flow_control().release_capacity(piece.len()).unwrap();
    }
    assert_eq!(taken, b"hello");
    fixture.seen.wait_for(ended(200), 1).await;
    assert_eq!(fixture.seen.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn shutdown_closes_idle_connections_at_once() {
    let mut fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    assert_eq!(status(get(&mut client, "/")).await, 200);
    let start = Instant::now();
    assert_eq!(fixture.server.shutdown(in_ms(800)).await, Exit::Shutdown);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(fixture.seen.count(Event::Closed(Closed::Done)), 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_answers_what_is_in_flight_and_takes_nothing_more() {
    let mut fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    let waiting: Vec<_> = (0..3).map(|_| get(&mut client, "/gate")).collect();
    for _ in 0..3 {
        fixture.arrived.recv().await.unwrap();
    }
    let gate = fixture.gate.clone();
    let finish = async {
        // The client has heard that it is to leave: what it sends now never reaches the server.
        let refused = loop {
            match client.clone().ready().await.map(|mut client| get(&mut client, "/gate")) {
                Ok(late) => drop(late),
                Err(error) => break error,
            }
            tokio::task::yield_now().await;
        };
        gate.send(true).unwrap();
        let mut answers = Vec::new();
        for answer in waiting {
            answers.push(status(answer).await);
        }
        (refused, answers)
    };
    let (exit, (refused, answers)) = tokio::join!(fixture.server.shutdown(in_ms(800)), finish);
    assert!(refused.is_go_away() && refused.is_remote(), "{refused}");
    assert_eq!((exit, answers), (Exit::Shutdown, vec![200; 3]));
}

#[tokio::test(start_paused = true)]
async fn shutdown_cuts_what_is_open_at_the_deadline() {
    let mut fixture = Fixture::with(limits()).await;
    let mut client = polite(&fixture).await;
    let waiting = get(&mut client, "/gate");
    fixture.arrived.recv().await.unwrap();
    let start = Instant::now();
    assert_eq!(fixture.server.shutdown(in_ms(800)).await, Exit::Aborted);
    assert_took(start, Duration::from_millis(800));
    waiting.await.unwrap_err();
    assert_eq!(fixture.seen.requests(), [ended(None)]);
    assert_eq!(fixture.seen.count(Event::Closed(Closed::Cut)), 1);
}
