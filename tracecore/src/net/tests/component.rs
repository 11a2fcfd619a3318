//! A component's server over the component's lives.

use std::pin::pin;

use super::*;

async fn hello(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_between_two_lives_waits_and_is_answered() {
    let listener = Arc::new(Bound::bind("127.0.0.1:0").await.unwrap());
    let life = || {
        let observer = Arc::new(());
        serve_component(Arc::clone(&listener), service_fn(hello), Limits::default(), observer, pending())
    };
    let mut first = Client::connect(listener.local_addr()).await;
    {
        let mut life = pin!(life());
        let answer = tokio::select! {
            _ = &mut life => panic!("nobody asked it to stop"),
            answer = first.get("/") => answer,
        };
        assert_eq!(answer.body, "hello");
    }
    assert_eq!(first.until_closed().await, b"", "the connection ends with the life");
    let mut second = Client::connect(listener.local_addr()).await;
    second.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    second.hears_nothing_for(Duration::from_secs(60)).await;
    tokio::select! {
        _ = life() => panic!("nobody asked it to stop"),
        answer = second.answer(true) => assert_eq!(answer.body, "hello"),
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_its_deadline_whatever_its_clients_do() {
    let listener = Arc::new(Bound::bind("127.0.0.1:0").await.unwrap());
    let seen = Arc::new(Recorder::new());
    let (arrived_tx, mut arrived) = mpsc::unbounded_channel();
    let stuck = service_fn(move |_: Request<RequestBody>| {
        arrived_tx.send(()).unwrap();
        pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let mut client = Client::connect(listener.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let start = Instant::now();
    let stop = async {
        arrived.recv().await.unwrap();
        in_ms(800)
    };
    let served = serve_component(listener, stuck, Limits::default(), seen.clone(), stop).await;
    assert!(served.is_ok());
    assert_took(start, Duration::from_millis(800));
    assert_eq!(seen.count(Event::Exited(Exit::Aborted)), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_listener_is_an_error_of_the_component() {
    let (listener, _connect) = Scripted::new([io::Error::from(io::ErrorKind::InvalidInput)]);
    let listener = Arc::new(listener);
    let served = serve_component(listener, service_fn(hello), Limits::default(), Arc::new(()), pending()).await;
    assert_eq!(served.unwrap_err().to_string(), "cannot accept connections on 127.0.0.1:1 any more");
}
