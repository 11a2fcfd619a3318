//! The warp filters, and the limit on scrapes.

use std::convert::Infallible;
use std::future::ready;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use bytes::Bytes;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use warp::path::FullPath;
use warp::reject::{MethodNotAllowed, Rejection};
use warp::{Filter, Reply};

use super::health::Probe;
use super::{Gather, Health, HealthCheck, Inspect, Observer, Paths, status};
use crate::exposition::Format;
use crate::net::HttpService;
use crate::net::media::accept;
use crate::telemetry::SurfaceRoute;
use crate::time::Instant;

/// Scrapes per second that are answered for as long as they come. Ten Prometheus servers at the shortest sensible
/// interval of a second stay below it; encoding costs about a millisecond, so this bounds the CPU to about 1 %.
const SCRAPES_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("10 is not zero");

/// Scrapes that are answered at once after a pause: servers started together scrape together.
const SCRAPE_BURST: NonZeroU32 = NonZeroU32::new(20).expect("20 is not zero");

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// The endpoints of the surface, as a service.
pub(super) fn service(
    paths: Paths,
    health: Health,
    gather: Arc<dyn Gather>,
    inspect: Arc<dyn Inspect>,
    observer: Arc<dyn Observer>,
) -> impl HttpService {
    let (alive, live) = (health.clone(), Arc::clone(&inspect));
    let healthz = move |headers: &HeaderMap, _: &str| answer(&*live, "healthz", alive.healthz(), headers);
    let asked = Arc::clone(&inspect);
    let readyz = move |headers: &HeaderMap, _: &str| {
        let probe = health.readyz(|| asked.is_ready());
        answer(&*asked, "readyz", probe, headers)
    };
    let routes = metrics(paths.metrics, gather, observer)
        .or(endpoint(SurfaceRoute::Healthz, paths.healthz, healthz))
        .unify()
        .or(endpoint(SurfaceRoute::Readyz, paths.readyz, readyz))
        .unify()
        .or(endpoint(SurfaceRoute::Status, paths.status, move |_: &HeaderMap, query: &str| {
            status::respond(&*inspect, query)
        }))
        .unify()
        .recover(refuse);
    warp::service(routes)
}

/// What `health_check` serves, as a service: it asks what the route `/readyz` asks.
pub(super) fn health_check(check: HealthCheck, health: Health, inspect: Arc<dyn Inspect>) -> impl HttpService {
    let check = Arc::new(check);
    let at = Arc::clone(&check);
    let respond = move |_: &HeaderMap, _: &str| check.respond(&health, &inspect);
    warp::service(endpoint_where(SurfaceRoute::Readyz, move |path| at.is_at(path), respond).recover(refuse))
}

/// A probe's answer, and its mention.
fn answer(inspect: &dyn Inspect, check: &'static str, probe: Probe, headers: &HeaderMap) -> Response<Bytes> {
    inspect.probed(check, probe.has_passed());
    probe.respond(headers)
}

/// The endpoint of metrics alone, as a service.
pub(super) fn metrics_only(path: String, gather: Arc<dyn Gather>, observer: Arc<dyn Observer>) -> impl HttpService {
    warp::service(metrics(path, gather, observer).recover(refuse))
}

fn metrics(
    path: String,
    gather: Arc<dyn Gather>,
    observer: Arc<dyn Observer>,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone + Send + Sync + 'static {
    let scrapes = Arc::new(Scrapes { gather, observer, limiter: limiter() });
    endpoint(SurfaceRoute::Metrics, path, move |headers, _| scrapes.respond(headers))
}

/// `GET` and `HEAD` on exactly `path`, given the headers and the query. For `HEAD` the server leaves the body out and
/// keeps its length.
fn endpoint(
    route: SurfaceRoute,
    path: String,
    respond: impl Fn(&HeaderMap, &str) -> Response<Bytes> + Clone + Send + Sync + 'static,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone + Send + Sync + 'static {
    let path: Arc<str> = path.into();
    endpoint_where(route, move |asked| asked == &*path, respond)
}

/// The same on every path of which this holds.
fn endpoint_where(
    route: SurfaceRoute,
    is_at: impl Fn(&str) -> bool + Clone + Send + Sync + 'static,
    respond: impl Fn(&HeaderMap, &str) -> Response<Bytes> + Clone + Send + Sync + 'static,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path::full()
        .and_then(move |asked: FullPath| {
            ready(if is_at(asked.as_str()) { Ok(()) } else { Err(warp::reject::not_found()) })
        })
        .untuple_one()
        .and(warp::get().or(warp::head()).unify())
        .and(warp::header::headers_cloned())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .map(move |headers: HeaderMap, query: String| {
            let mut response = respond(&headers, &query);
            response.extensions_mut().insert(route.route());
            response
        })
}

/// Answers what no endpoint took.
async fn refuse(rejection: Rejection) -> Result<impl Reply, Infallible> {
    if rejection.find::<MethodNotAllowed>().is_none() {
        return Ok(reply(StatusCode::NOT_FOUND, TEXT, "not found\n"));
    }
    let mut response = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "method not allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Ok(response)
}

/// An answer that nobody may keep: it is true now.
pub(super) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `/metrics`.
struct Scrapes {
    gather: Arc<dyn Gather>,
    observer: Arc<dyn Observer>,
    limiter: Limiter,
}

impl Scrapes {
    fn respond(&self, headers: &HeaderMap) -> Response<Bytes> {
        if let Err(not_until) = self.limiter.check() {
            self.observer.scrape_limited();
            return too_many(not_until.wait_time_from(Monotonic.now()));
        }
        let format = if self.gather.open_metrics() { Format::negotiate(&accept(headers)) } else { Format::Text };
        let mut body = String::new();
        // Counted here, answered by the server as for any handler.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.gather.gather(format, &mut body))) {
            self.observer.scrape_panicked();
            resume_unwind(panic);
        }
        reply(StatusCode::OK, format.content_type(), body)
    }
}

fn too_many(wait: Duration) -> Response<Bytes> {
    let mut response = reply(StatusCode::TOO_MANY_REQUESTS, TEXT, "too many scrapes\n");
    // Whole seconds, and never too few: the header knows no fractions.
    let seconds = wait.as_secs().saturating_add(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<StdInstant>>;

fn limiter() -> Limiter {
    RateLimiter::direct_with_clock(Quota::per_second(SCRAPES_PER_SECOND).allow_burst(SCRAPE_BURST), Monotonic)
}

/// The clock of [`crate::time`], so that tests can pause it.
#[derive(Clone, Copy, Debug)]
struct Monotonic;

impl GovernorClock for Monotonic {
    type Instant = StdInstant;

    fn now(&self) -> StdInstant {
        Instant::now().into_std()
    }
}
