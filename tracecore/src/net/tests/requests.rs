//! What an observer is told of requests: each once, however it ends.

use std::sync::Mutex;

use super::*;

/// What the observer keeps of one request.
fn request(method: Method, route: &'static str, status: impl Into<Option<u16>>) -> Event {
    Event::Request(method, route, status.into())
}

/// One that never became a request, or that nobody answered.
const UNANSWERED: Event = Event::Request(Method::Other, "unknown", None);

async fn hello(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::from("hello"));
    response.extensions_mut().insert(Route("/hello"));
    Ok(response)
}

#[tokio::test(start_paused = true)]
async fn a_request_is_told_of_by_method_route_and_status() {
    let seen = Arc::new(Recorder::new());
    let bound = Bound::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(bound, service_fn(hello), Limits::default(), seen.clone());
    let mut client = Client::connect(server.local_addr()).await;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW", "get"] {
        assert_eq!(client.request(method, "/a/path/of/many", "").await.status, 200, "{method}");
    }
    use Method::{Delete, Get, Head, Options, Other, Patch, Post, Put, Trace};
    let expected = [Get, Head, Post, Put, Delete, Options, Trace, Patch, Other, Other];
    seen.wait_for(request(Other, "/hello", 200), 2).await;
    assert_eq!(seen.requests(), expected.map(|method| request(method, "/hello", 200)));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_answers_itself_is_told_of_once() {
    let fixture = Fixture::with(Limits { body_bytes: 10, ..Limits::default() }).await;
    let long_header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(9_000));
    let cases: [(&str, Event); 7] = [
        ("GET /panic HTTP/1.1\r\nhost: x\r\n\r\n", request(Method::Get, "unknown", 500)),
        ("GET /never HTTP/1.1\r\nhost: x\r\n\r\n", request(Method::Get, "unknown", 503)),
        ("POST /upload HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc", request(Method::Post, "unknown", 503)),
        ("POST /upload HTTP/1.1\r\ncontent-length: 11\r\n\r\n", request(Method::Post, "unknown", 413)),
        ("CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n", request(Method::Connect, "unknown", 501)),
        ("no such thing\r\n\r\n", request(Method::Other, "unknown", 400)),
        (&long_header, request(Method::Other, "unknown", 431)),
    ];
    for (sent, expected) in cases {
        let before = fixture.seen.requests().len();
        let mut client = fixture.client().await;
        client.send(sent).await;
        let answer = client.answer(true).await;
        client.until_closed().await;
        let closed = fixture.seen.requests().split_off(before);
        assert_eq!(closed, [expected], "{sent:.40} was answered {}", answer.status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_leaves_a_request_without_a_status() {
    let mut fixture = Fixture::new().await;
    let client = fixture.client_in_flight().await;
    drop(client);
    fixture.seen.wait_for(request(Method::Get, "unknown", None), 1).await;

    // In the middle of the answer.
    let mut client = fixture.client().await;
    client.send("PUT /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.read_more().await;
    drop(client);
    fixture.seen.wait_for(request(Method::Put, "unknown", None), 1).await;

    // In the middle of the headers.
    let mut client = fixture.client().await;
    client.send("DELETE / HTTP/1.1\r\nhos").await;
    fixture.seen.wait_for(Event::Opened, 3).await;
    drop(client);
    fixture.seen.wait_for(UNANSWERED, 1).await;
    assert_eq!(fixture.seen.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_too_slow_leaves_a_request_without_a_status() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    client.send("GET / HTTP/1.1\r\n").await;
    client.until_closed().await;
    assert_eq!(fixture.seen.requests(), [UNANSWERED]);

    let mut client = fixture.client().await;
    client.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    fixture.seen.wait_for(Event::Closed(Closed::WriteTimeout), 1).await;
    assert_eq!(fixture.seen.requests()[1..], [request(Method::Get, "unknown", None)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_shutdown_cuts_is_told_of_without_a_status() {
    let mut fixture = Fixture::new().await;
    let _in_flight = fixture.client_in_flight().await;
    let mut half = fixture.client().await;
    half.get("/").await;
    half.send("GET / HTTP/1.1\r\n").await;
    half.hears_nothing_for(Duration::from_millis(1)).await;
    assert_eq!(fixture.server.shutdown(Instant::now()).await, Exit::Aborted);
    let mut told = fixture.seen.requests();
    told.sort_by_key(|event| format!("{event:?}"));
    let expected = [request(Method::Get, "unknown", None), request(Method::Get, "unknown", 200), UNANSWERED];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_body_leaves_a_request_without_a_status() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client().await;
    client.send("GET /body-panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.until_closed().await;
    fixture.seen.wait_for(Event::HandlerPanicked, 1).await;
    assert_eq!(fixture.seen.requests(), [request(Method::Get, "unknown", None)]);
}

/// Gives one piece, and then fails or never goes on.
struct Piecemeal {
    piece: Option<Bytes>,
    fails: bool,
}

impl Body for Piecemeal {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.piece.take() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.fails => Poll::Ready(Some(Err("broken"))),
            None => Poll::Pending,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_whole_leaves_a_request_without_a_status() {
    let seen = Arc::new(Recorder::new());
    let service = service_fn(async |request: Request<RequestBody>| {
        let fails = request.uri().path() == "/fails";
        Ok::<_, Infallible>(Response::new(Piecemeal { piece: Some(Bytes::from_static(b"piece")), fails }))
    });
    let bound = Bound::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(bound, service, Limits::default(), seen.clone());
    let mut client = Client::connect(server.local_addr()).await;
    client.send("GET /fails HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.until_closed().await;
    let mut client = Client::connect(server.local_addr()).await;
    client.send("GET /hangs HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.read_more().await;
    drop(client);
    seen.wait_for(request(Method::Get, "unknown", None), 2).await;
    assert_eq!(seen.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_no_request() {
    let fixture = Fixture::new().await;
    fixture.client().await.until_closed().await;
    drop(fixture.client().await);
    fixture.seen.wait_for(Event::Closed(Closed::Done), 1).await;

    // A line end too many, as old clients send it.
    let mut client = fixture.client().await;
    client.get("/").await;
    client.send("\r\n").await;
    drop(client);
    fixture.seen.wait_for(Event::Closed(Closed::Done), 2).await;
    assert_eq!(fixture.seen.requests(), [request(Method::Get, "unknown", 200)]);
}

#[tokio::test(start_paused = true)]
async fn requests_sent_at_once_are_told_of_one_by_one() {
    let seen = Arc::new(Recorder::new());
    let (listener, connect) = Scripted::new([]);
    // So small that a request begins while the answer before it is still being written.
    let (client, io) = tokio::io::duplex(64);
    connect.send(io).unwrap();
    let _server = Server::start(listener, service_fn(hello), Limits::default(), seen.clone());
    let (mut answers, mut requests) = tokio::io::split(client);
    let text = format!("{}GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n".repeat(9));
    let mut received = String::new();
    let (sent, read) = tokio::join!(requests.write_all(text.as_bytes()), answers.read_to_string(&mut received));
    sent.and(read.map(drop)).unwrap();
    assert_eq!(received.matches("hello").count(), 10);
    assert_eq!(seen.requests(), [request(Method::Get, "/hello", 200); 10]);
}

/// Follows every request, and keeps what it hears in order.
#[derive(Clone, Default)]
struct Follower(Arc<Mutex<Vec<String>>>);

/// What [`Follower`] gives the handler.
#[derive(Clone)]
struct Parent(String);

struct Followed(Follower);

impl Follower {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

impl Observer for Follower {
    fn request_started(
        &self,
        method: Method,
        headers: &HeaderMap,
        extensions: &mut Extensions,
    ) -> Option<Box<dyn RequestSpan>> {
        let parent = headers.get("traceparent")?.to_str().ok()?;
        extensions.insert(Parent(parent.to_owned()));
        self.note(format!("{} began", method.as_str()));
        Some(Box::new(Followed(self.clone())))
    }

    fn request_finished(&self, request: &Finished) {
        self.note(format!("counted {} after {:?}", request.status_class().as_str(), request.took));
    }
}

impl RequestSpan for Followed {
    fn finished(self: Box<Self>, request: &Finished) {
        self.0.note(format!("{} ended with {:?}", request.route.0, request.status));
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_accompanies_its_request_and_the_handler_sees_it() {
    async fn slow(request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
        tokio::time::advance(Duration::from_millis(20)).await;
        let parent = request.extensions().get::<Parent>().map_or("none", |parent| &parent.0);
        let mut response = Response::new(Full::from(parent.to_owned()));
        response.extensions_mut().insert(Route("/slow"));
        Ok(response)
    }
    let follower = Follower::default();
    let (listener, connect) = Scripted::new([]);
    let (mut client, io) = tokio::io::duplex(1024);
    connect.send(io).unwrap();
    let _server = Server::start(listener, service_fn(slow), Limits::default(), Arc::new(follower.clone()));
    client.write_all(b"GET / HTTP/1.1\r\ntraceparent: 00-12\r\n\r\nGET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    assert!(answers.contains("00-12") && answers.ends_with("none"), "{answers}");
    let expected = ["GET began", "/slow ended with Some(200)", "counted 2xx after 20ms", "counted 2xx after 20ms"];
    assert_eq!(*follower.0.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_as_long_as_its_client_takes_the_answer() {
    let follower = Follower::default();
    let (listener, connect) = Scripted::new([]);
    let (mut client, io) = tokio::io::duplex(16);
    connect.send(io).unwrap();
    let _server = Server::start(listener, service_fn(hello), Limits::default(), Arc::new(follower.clone()));
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut first = [0; 8];
    client.read_exact(&mut first).await.unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    client.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(*follower.0.lock().unwrap(), ["counted 2xx after 3s"]);
}

#[test]
fn methods_are_a_closed_set() {
    for method in Method::ALL {
        let parsed = http::Method::from_bytes(method.as_str().as_bytes()).unwrap();
        assert_eq!(Method::from(&parsed), method);
    }
}
