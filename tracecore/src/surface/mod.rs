//! The telemetry surface: `/metrics`, `/healthz`, `/readyz` and `/status` on one listener; and the Collector's
//! `health_check` on others.
//!
//! [`Surface::bind`] takes the port, [`Surface::serve`] answers on it, [`Serving::shutdown`] ends it: a surface that
//! never got its port cannot be served, and one that is not served needs no shutdown. warp routes and replies;
//! everything that protects the listener is [`crate::net`]'s.
//!
//! Invariants: no route takes a body or changes anything; a scrape that panics is a 500 and a count; the state only
//! moves forward ([`Health`]).
//!
//! Deliberately absent: TLS and authentication, which will come for all servers at once.

mod health;
mod health_check;
mod routes;
mod status;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error_span, info};

pub use health::{Health, State};
pub use health_check::HealthCheck;
pub use status::{Inspect, WindowError};

use crate::exposition::Format;
use crate::net::{self, Accept, BindError, Bound, Exit, HttpService, Limits, Server};
use crate::time::Instant;

/// How long the surface may take to shut down. The whole process has a second from here to its end; the rest is for
/// what comes after the surface.
pub const SHUTDOWN_BUDGET: Duration = Duration::from_millis(800);

/// The setting that [`Surface::bind`]'s address comes from.
const LISTEN_SETTING: &str = "telemetry.listen";

/// Where each endpoint is mounted: absolute paths, compared exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The exposition of the collector's own metrics.
    pub metrics: String,
    /// Whether the process is alive.
    pub healthz: String,
    /// Whether the process does its work.
    pub readyz: String,
    /// How each of its components is.
    pub status: String,
}

impl Default for Paths {
    fn default() -> Self {
        Paths {
            metrics: "/metrics".into(),
            healthz: "/healthz".into(),
            readyz: "/readyz".into(),
            status: "/status".into(),
        }
    }
}

/// Where `/metrics` comes from. Called once for each scrape, on the server's task: gather, encode and return.
pub trait Gather: Send + Sync + 'static {
    /// Appends the exposition of this moment to `out`.
    fn gather(&self, format: Format, out: &mut String);

    /// Whether a scraper that asks for OpenMetrics gets it; it gets text otherwise.
    fn open_metrics(&self) -> bool {
        true
    }
}

impl<F: Fn(Format, &mut String) + Send + Sync + 'static> Gather for F {
    fn gather(&self, format: Format, out: &mut String) {
        self(format, out);
    }
}

/// Where the owner of a surface counts, beside what it counts for any server.
pub trait Observer: net::Observer {
    /// [`Gather::gather`] panicked; the scraper got a 500. [`net::Observer::handler_panicked`] is called too.
    fn scrape_panicked(&self) {}

    /// A scrape came too soon after others; the scraper got a 429.
    fn scrape_limited(&self) {}
}

/// Counts nothing.
impl Observer for () {}

/// Metrics alone, on `path`, as a service for [`net::Server`]: what an exporter serves that is scraped on a listener
/// of its own. It answers as the surface's `/metrics` does, limit included.
pub fn metrics_service(path: &str, gather: Arc<dyn Gather>, observer: Arc<dyn Observer>) -> impl HttpService + use<> {
    routes::metrics_only(path.to_owned(), gather, observer)
}

/// A surface that has its port. Clients can connect and wait.
#[derive(Debug)]
pub struct Surface<L = Bound> {
    listener: L,
}

impl Surface {
    /// Listens on `host:port`, the value of `telemetry.listen`.
    ///
    /// # Errors
    ///
    /// What [`Bound::bind`] says, with the name of the setting.
    pub async fn bind(listen: &str) -> Result<Self, BindError> {
        let listener = Bound::bind(listen).await.map_err(|error| error.for_setting(LISTEN_SETTING))?;
        Ok(Surface { listener })
    }
}

impl<L: Accept> Surface<L> {
    /// A surface on a listener that exists.
    pub fn on(listener: L) -> Self {
        Surface { listener }
    }

    /// The address listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Starts to answer, with what `health` says from now on.
    pub fn serve(
        self,
        paths: Paths,
        health: Health,
        gather: Arc<dyn Gather>,
        inspect: Arc<dyn Inspect>,
        observer: Arc<dyn Observer>,
    ) -> Serving {
        let listen = self.listener.local_addr();
        // At the level of errors, so that no filter takes the address from a message that it lets through.
        let _in_span = error_span!("surface", %listen).entered();
        let Paths { metrics, healthz, readyz, status } = &paths;
        info!(metrics, healthz, readyz, status, "serving metrics and health");
        let service = routes::service(paths, health.clone(), gather, inspect, Arc::clone(&observer));
        let server = Server::start(self.listener, service, Limits::default(), observer);
        Serving { server, health }
    }

    /// Starts to answer as the Collector's `health_check` does, with what `health` says from now on, and nothing else.
    pub fn serve_health_check(
        self,
        check: HealthCheck,
        health: Health,
        inspect: Arc<dyn Inspect>,
        observer: Arc<dyn Observer>,
    ) -> Serving {
        let listen = self.listener.local_addr();
        let _in_span = error_span!("surface", %listen).entered();
        info!(path = check.path, "serving health_check");
        let service = routes::health_check(check, health.clone(), inspect);
        let server = Server::start(self.listener, service, Limits::default(), observer);
        Serving { server, health }
    }
}

/// A surface that answers. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Serving {
    server: Server,
    health: Health,
}

impl Serving {
    /// The address listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// What the probes answer by.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Waits until the surface ends by itself, which only a broken listener makes it do. Dropping the future is safe.
    pub async fn exited(&mut self) -> Exit {
        self.server.exited().await
    }

    /// Stops: no further connection, idle ones closed, requests in flight finished until the deadline and then cut.
    /// The usual deadline is [`SHUTDOWN_BUDGET`] from now; one in the past cuts at once. A second call does nothing
    /// and says the same.
    pub async fn shutdown(&mut self, deadline: Instant) -> Exit {
        self.health.stopped();
        self.server.shutdown(deadline).await
    }
}
