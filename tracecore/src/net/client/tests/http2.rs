//! The client over HTTP/2, against peers that speak raw frames, and time that stands still.

use super::*;
use crate::net::testing::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, frame,
};
use crate::net::tls::{TlsClientConfig, TlsFailure};

/// `:status: 200`, compressed as headers are.
const OK: &[u8] = &[0x88];
/// What every client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that may be sent on a connection before the other side says more (RFC 9113, 6.9.2).
const WINDOW: usize = 65_535;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

const KEEPALIVE: Keepalive =
    Keepalive { time: Duration::from_secs(10), timeout: Duration::from_secs(5), permit_without_stream: false };

/// No limit on an exchange, and a connection that is kept for an hour.
const PATIENT: ClientLimits =
    ClientLimits { request: Duration::MAX, idle: Duration::from_secs(3600), ..ClientLimits::DEFAULT };

/// Longer than anything here takes by the clock of the tests: who waits for as long waits for what does not come.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// What comes, unless it does not.
async fn soon<T>(waited: impl Future<Output = T>) -> T {
    timeout(FOR_EVER, waited).await.expect("it comes")
}

/// A client, what its observer was told, and the connections that it makes.
struct Fixture {
    client: Client,
    seen: Arc<Recorder>,
    accepted: mpsc::UnboundedReceiver<DuplexStream>,
}

fn settings(limits: ClientLimits, keepalive: Option<Keepalive>) -> ClientSettings {
    let origin = Uri::from_static("http://backend:4317");
    let protocol = Protocol::Http2(Http2Settings { origin, keepalive });
    ClientSettings { limits, protocol, tls: None }
}

impl Fixture {
    fn new(limits: ClientLimits, keepalive: Option<Keepalive>) -> Self {
        let (peers, accepted) = mpsc::unbounded_channel();
        let seen = Recorder::new();
        let client = Client::over(Pipes(Some(peers)), settings(limits, keepalive), seen.clone());
        Fixture { client, seen, accepted }
    }

    /// A request, in a task of its own.
    fn ask(&self, body: &'static [u8]) -> JoinSet<Result<Response<Bytes>, ClientError>> {
        let client = self.client.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let request = Request::post("http://backend:4317/a").body(Bytes::from_static(body)).unwrap();
            client.send(request).await
        });
        task
    }

    /// The next connection, to a peer that says these settings.
    async fn peer(&mut self, settings: &[u8]) -> Peer {
        let mut peer = Peer { io: soon(self.accepted.recv()).await.unwrap(), received: Vec::new(), told: 0 };
        peer.says(SETTINGS, 0, 0, settings).await;
        peer
    }

    fn makes_no_connection(&mut self) -> bool {
        self.accepted.try_recv().is_err()
    }
}

/// What became of a request.
async fn end(mut task: JoinSet<Result<Response<Bytes>, ClientError>>) -> Result<Response<Bytes>, ClientError> {
    soon(task.join_next()).await.unwrap().unwrap()
}

/// The other end of a connection.
struct Peer {
    io: DuplexStream,
    received: Vec<u8>,
    /// How much of it was looked at.
    told: usize,
}

impl Peer {
    async fn says(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.io.write_all(&frame(kind, flags, stream, payload)).await.unwrap();
    }

    async fn goes_away(&mut self, last: u32, reason: u32) {
        self.says(GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat()).await;
    }

    async fn answers(&mut self, stream: u32) {
        self.says(HEADERS, END_STREAM | END_HEADERS, stream, OK).await;
    }

    /// The next frame: its kind, its flags, its stream and its payload. `None` once the client has closed the connection.
    async fn hears(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            if self.told == 0 && self.received.starts_with(PREFACE) {
                self.told = PREFACE.len();
            }
            if let [a, b, c, kind, flags, s, t, u, v, rest @ ..] = &self.received[self.told..]
                && self.told > 0
            {
                let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
                if let Some(payload) = rest.get(..length) {
                    let frame = (*kind, *flags, u32::from_be_bytes([*s, *t, *u, *v]), payload.to_vec());
                    self.told += 9 + length;
                    return Some(frame);
                }
            }
            if soon(self.io.read_buf(&mut self.received)).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Waits for a frame of this kind on this stream; those before it are of no interest.
    async fn hears_of(&mut self, kind: u8, stream: u32) -> (u8, Vec<u8>) {
        loop {
            let (found, flags, of, payload) = self.hears().await.expect("the connection is open");
            // What answers a frame of ours is none of the client's own.
            if (found, of) == (kind, stream) && !(kind == PING && flags & ACK != 0) {
                return (flags, payload);
            }
        }
    }

    /// Waits for a whole request.
    async fn hears_request(&mut self, stream: u32) {
        self.hears_of(HEADERS, stream).await;
        while self.hears_of(DATA, stream).await.0 & END_STREAM == 0 {}
    }
}

#[tokio::test(start_paused = true)]
async fn requests_share_a_connection_and_wait_where_the_server_allows_few() {
    let mut fixture = Fixture::new(PATIENT, None);
    let first = fixture.ask(b"one");
    // SETTINGS_MAX_CONCURRENT_STREAMS: 1.
    let mut peer = fixture.peer(&[0, 3, 0, 0, 0, 1]).await;
    peer.hears_request(1).await;
    let second = fixture.ask(b"two");
    assert!(timeout(Duration::from_secs(60), peer.hears_of(HEADERS, 3)).await.is_err(), "one at a time");
    peer.answers(1).await;
    assert_eq!(end(first).await.unwrap().status(), 200);
    peer.hears_request(3).await;
    peer.answers(3).await;
    assert_eq!(end(second).await.unwrap().status(), 200);
    assert!(fixture.makes_no_connection());
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_comes_is_pinged_and_then_given_up() {
    let mut fixture = Fixture::new(PATIENT, Some(KEEPALIVE));
    let asked = fixture.ask(b"one");
    let mut peer = fixture.peer(&[]).await;
    peer.hears_request(1).await;
    let began = Instant::now();
    peer.hears_of(PING, 0).await;
    let pinged = began.elapsed();
    assert!(pinged >= KEEPALIVE.time && pinged <= 2 * KEEPALIVE.time, "{pinged:?}");
    let error = end(asked).await.unwrap_err();
    assert_eq!(began.elapsed() - pinged, KEEPALIVE.timeout);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Io, Retry::Yes), "{error:?}");
    fixture.seen.wait_for(Closed, 1).await;
    // What comes next has a connection of its own.
    let again = fixture.ask(b"two");
    let mut peer = fixture.peer(&[]).await;
    peer.hears_request(1).await;
    peer.answers(1).await;
    assert_eq!(end(again).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_pings_is_kept_however_long_an_answer_takes() {
    let mut fixture = Fixture::new(PATIENT, Some(KEEPALIVE));
    let asked = fixture.ask(b"one");
    let mut peer = fixture.peer(&[]).await;
    peer.hears_request(1).await;
    for _ in 0..20 {
        let (_, payload) = peer.hears_of(PING, 0).await;
        peer.says(PING, ACK, 0, &payload).await;
    }
    peer.answers(1).await;
    assert_eq!(end(asked).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_pinged_only_if_that_is_permitted() {
    for permitted in [false, true] {
        let keepalive = Keepalive { permit_without_stream: permitted, ..KEEPALIVE };
        let mut fixture = Fixture::new(PATIENT, Some(keepalive));
        let asked = fixture.ask(b"one");
        let mut peer = fixture.peer(&[]).await;
        peer.hears_request(1).await;
        peer.answers(1).await;
        end(asked).await.unwrap();
        let pinged = timeout(Duration::from_secs(600), peer.hears_of(PING, 0)).await.is_ok();
        assert_eq!(pinged, permitted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nothing_uses_is_closed_by_us() {
    let idle = Duration::from_secs(30);
    let mut fixture = Fixture::new(ClientLimits { idle, ..PATIENT }, Some(KEEPALIVE));
    let asked = fixture.ask(b"one");
    let mut peer = fixture.peer(&[]).await;
    peer.hears_request(1).await;
    peer.answers(1).await;
    end(asked).await.unwrap();
    let began = Instant::now();
    peer.hears_of(GOAWAY, 0).await;
    let lived = began.elapsed();
    assert!(lived >= idle && lived <= 2 * idle, "{lived:?}");
    assert_eq!(peer.hears().await, None);
    fixture.seen.wait_for(Closed, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_refused_goes_once_more_and_not_twice() {
    let mut fixture = Fixture::new(PATIENT, None);
    let asked = fixture.ask(b"one");
    let mut peer = fixture.peer(&[]).await;
    peer.hears_request(1).await;
    peer.says(RST_STREAM, 0, 1, &REFUSED_STREAM.to_be_bytes()).await;
    peer.hears_request(3).await;
    peer.answers(3).await;
    assert_eq!(end(asked).await.unwrap().status(), 200);

    let asked = fixture.ask(b"two");
    for stream in [5, 7] {
        peer.hears_request(stream).await;
        peer.says(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes()).await;
    }
    let error = end(asked).await.unwrap_err();
    assert!(matches!(error, ClientError::Unprocessed(_)), "{error:?}");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Io, Retry::Yes));
    assert!(fixture.makes_no_connection(), "the connection is a good one");
}

#[tokio::test(start_paused = true)]
async fn what_a_server_that_goes_away_has_not_looked_at_goes_over_a_new_connection() {
    for reason in [0, ENHANCE_YOUR_CALM] {
        let mut fixture = Fixture::new(PATIENT, None);
        let asked = fixture.ask(b"one");
        let mut peer = fixture.peer(&[]).await;
        peer.hears_request(1).await;
        peer.goes_away(0, reason).await;
        let mut next = fixture.peer(&[]).await;
        next.hears_request(1).await;
        next.answers(1).await;
        assert_eq!(end(asked).await.unwrap().status(), 200, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_does_not_wait_for_what_the_server_still_answers() {
    let mut fixture = Fixture::new(PATIENT, None);
    let kept = fixture.ask(b"one");
    let mut peer = fixture.peer(&[]).await;
    peer.hears_request(1).await;
    let given_back = fixture.ask(b"two");
    peer.hears_request(3).await;
    peer.goes_away(1, 0).await;
    let mut next = fixture.peer(&[]).await;
    next.hears_request(1).await;
    next.answers(1).await;
    assert_eq!(end(given_back).await.unwrap().status(), 200);
    peer.answers(1).await;
    assert_eq!(end(kept).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_that_goes_away_may_have_looked_at_is_not_sent_again() {
    let mut fixture = Fixture::new(PATIENT, None);
    let asked = fixture.ask(b"one");
    let mut peer = fixture.peer(&[]).await;
    peer.hears_request(1).await;
    peer.goes_away(1, 0).await;
    drop(peer);
    let error = end(asked).await.unwrap_err();
    assert!(matches!(error, ClientError::Broken(_)), "{error:?}");
    assert_eq!(error.retry(), Retry::Yes, "whether it goes again is for whoever asked to say");
    assert!(fixture.makes_no_connection());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_wound_up_ends_what_it_has_and_takes_nothing_new() {
    let mut fixture = Fixture::new(PATIENT, None);
    let old = fixture.ask(b"one");
    let mut peer = fixture.peer(&[]).await;
    peer.hears_request(1).await;
    peer.goes_away(u32::MAX >> 1, 0).await;
    // Heard, once it is answered.
    peer.says(PING, 0, 0, &[0; 8]).await;
    while !matches!(peer.hears().await, Some((PING, ACK, ..))) {}
    let new = fixture.ask(b"two");
    let mut next = fixture.peer(&[]).await;
    next.hears_request(1).await;
    next.answers(1).await;
    assert_eq!(end(new).await.unwrap().status(), 200);
    peer.answers(1).await;
    assert_eq!(end(old).await.unwrap().status(), 200);
    fixture.seen.wait_for(Closed, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lets_nothing_be_written_is_given_up_in_time() {
    static LARGE: [u8; 2 * WINDOW] = [0; 2 * WINDOW];
    let limit = Duration::from_secs(3);
    let mut fixture = Fixture::new(ClientLimits { request: limit, ..PATIENT }, None);
    let began = Instant::now();
    let asked = fixture.ask(&LARGE);
    let mut peer = fixture.peer(&[]).await;
    peer.hears_of(HEADERS, 1).await;
    let mut came = 0;
    while came < WINDOW {
        came += peer.hears_of(DATA, 1).await.1.len();
    }
    let error = end(asked).await.unwrap_err();
    assert_eq!((Report(&error).to_string().as_str(), began.elapsed()), ("no answer within 3s", limit));
    // It is taken back, and no more of it is written once something may be.
    peer.hears_of(RST_STREAM, 1).await;
    peer.says(8, 0, 0, &1_000_000_u32.to_be_bytes()).await;
    let next = fixture.ask(b"small");
    let (kind, _, stream, _) = peer.hears().await.unwrap();
    assert_eq!((kind, stream), (HEADERS, 3));
    peer.hears_of(DATA, 3).await;
    peer.answers(3).await;
    assert_eq!(end(next).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_before_the_end_of_the_request_is_the_answer() {
    let mut fixture = Fixture::new(PATIENT, None);
    let asked = fixture.ask(b"what is not let through");
    // SETTINGS_INITIAL_WINDOW_SIZE: 0.
    let mut peer = fixture.peer(&[0, 4, 0, 0, 0, 0]).await;
    peer.hears_of(HEADERS, 1).await;
    peer.answers(1).await;
    assert_eq!(end(asked).await.unwrap().status(), 200);
    peer.hears_of(RST_STREAM, 1).await;
}

#[tokio::test(start_paused = true)]
async fn headers_without_end_are_refused() {
    // A literal header that no table keeps, of 100 bytes: name `x`.
    let literal = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let block = literal.repeat(150);
    let mut fixture = Fixture::new(PATIENT, None);
    let mut asked = fixture.ask(b"one");
    let mut peer = fixture.peer(&[]).await;
    peer.hears_request(1).await;
    peer.says(HEADERS, END_STREAM, 1, &[OK, &block].concat()).await;
    let mut written = block.len();
    let error = loop {
        let length = u32::try_from(block.len()).unwrap().to_be_bytes();
        let frame = [&length[1..], &[CONTINUATION, 0, 0, 0, 0, 1], &block].concat();
        tokio::select! {
            ended = asked.join_next() => break ended.unwrap().unwrap().unwrap_err(),
            sent = peer.io.write_all(&frame) => match sent {
                Ok(()) => written += block.len(),
                Err(_) => break asked.join_next().await.unwrap().unwrap().unwrap_err(),
            },
        }
    };
    assert!(written < 16 * MAX_ANSWER_HEADER_BYTES, "{written} bytes were read");
    assert!(matches!(error, ClientError::Head(_)), "{error:?}");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Parse, Retry::Permanent));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_says_a_word_is_no_connection() {
    for accepts in [false, true] {
        let (peers, mut accepted) = mpsc::unbounded_channel();
        let seen = Recorder::new();
        let client = Client::over(Pipes(accepts.then_some(peers)), settings(PATIENT, None), seen.clone());
        let began = Instant::now();
        let error = client.send(ask(([192, 0, 2, 1], 80).into(), "/")).await.unwrap_err();
        assert_eq!(Report(&error).to_string(), "cannot connect: no connection within 5s");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Connect, Retry::Yes));
        assert_eq!(began.elapsed().as_secs(), 5);
        assert_eq!(seen.life(), [Created, Failed(ConnectFailure::Timeout)]);
        assert_eq!(accepted.try_recv().is_ok(), accepts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_the_handshake_of_tls_is_told_apart() {
    let config = TlsClientConfig { insecure_skip_verify: true, ..TlsClientConfig::default() };
    let tls = Arc::new(ClientTls::new(config).unwrap());
    tls.load().await.unwrap();
    let origin = Uri::from_static("https://backend:4317");
    for protocol in [Protocol::Http1, Protocol::Http2(Http2Settings { origin, keepalive: None })] {
        let (peers, mut accepted) = mpsc::unbounded_channel();
        let seen = Recorder::new();
        let settings = ClientSettings { limits: PATIENT, protocol, tls: Some(Arc::clone(&tls)) };
        let client = Client::over(Pipes(Some(peers)), settings, seen.clone());
        let began = Instant::now();
        let error = client.send(Request::post("https://backend:4317/").body(Bytes::new()).unwrap()).await.unwrap_err();
        let told = Report(&error).to_string();
        assert!(told.starts_with("cannot connect: the server did not answer the TLS handshake in time: "), "{told}");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Connect, Retry::Yes));
        assert_eq!(began.elapsed().as_secs(), 5);
        assert_eq!(seen.life(), [Created, Failed(ConnectFailure::Tls(TlsFailure::Silent))]);
        assert!(accepted.try_recv().is_ok(), "there was a connection");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_speaks_tls_or_no_http_2_is_told_apart() {
    let cases: [(&[u8], ConnectFailure, &str); 3] = [
        (
            // A fatal alert: what a server that speaks TLS says to the preface of HTTP/2.
            &[0x15, 3, 3, 0, 2, 2, 70],
            ConnectFailure::Tls(TlsFailure::Wanted),
            "cannot connect: the server speaks TLS and was asked in plaintext: set tls.insecure to false, or begin the endpoint with https://",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            ConnectFailure::Protocol,
            "cannot connect: the other side does not speak HTTP/2: is this its gRPC port, and does it want TLS?",
        ),
        (
            b"",
            ConnectFailure::Protocol,
            "cannot connect: the other side closed the connection at once: does it want TLS, or HTTP/1?",
        ),
    ];
    for (word, failure, message) in cases {
        let mut fixture = Fixture::new(PATIENT, None);
        let asked = fixture.ask(b"one");
        let mut peer = fixture.accepted.recv().await.unwrap();
        peer.write_all(word).await.unwrap();
        // Who says nothing hangs up.
        let _open = (!word.is_empty()).then_some(peer);
        let error = end(asked).await.unwrap_err();
        assert_eq!(Report(&error).to_string(), message);
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Connect, Retry::Yes), "{message}");
        assert_eq!(fixture.seen.life(), [Created, Failed(failure)], "{message}");
    }
}

/// A server on this address that says its name to one request, and then winds up its connection.
async fn named_once(name: &'static str, ip: [u8; 4], port: u16) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(SocketAddr::from((ip, port))).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(name.as_bytes()), true).unwrap();
        connection.graceful_shutdown();
        while connection.accept().await.is_some() {}
    });
    (addr, task)
}

#[tokio::test]
async fn a_name_is_looked_up_again_once_the_connection_has_ended() {
    let (old, _old) = named_once("old", [127, 0, 0, 1], 0).await;
    let (new, _new) = named_once("new", [127, 0, 0, 2], old.port()).await;
    let addresses = Arc::new(Mutex::new(old));
    let asked = Arc::clone(&addresses);
    let resolver = service_fn(move |_: Name| {
        let address: SocketAddr = *asked.lock().unwrap();
        ready(Ok::<_, io::Error>(std::iter::once(address)))
    });
    let seen = Recorder::new();
    let mut settings = settings(PATIENT, None);
    let origin = format!("http://backend.example:{}", old.port()).parse().unwrap();
    settings.protocol = Protocol::Http2(Http2Settings { origin, keepalive: None });
    let client = Client::over(Tcp::resolving(resolver, CONNECT_TIMEOUT), settings, seen.clone());
    let ask = async || client.send(Request::post("http://backend.example/").body(Bytes::new()).unwrap()).await;
    assert_eq!(ask().await.unwrap().body(), "old");
    *addresses.lock().unwrap() = new;
    seen.wait_for(Closed, 1).await;
    assert_eq!(ask().await.unwrap().body(), "new");
}
