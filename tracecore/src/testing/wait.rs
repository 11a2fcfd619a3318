//! Waiting for a state: of a component, of the service, of what it holds, of its metrics.
//!
//! A state is watched and not asked for again and again, and needs no event: these waits hold with events switched off
//! too. A watch shows the newest state, so one that is left at once can pass unseen; whoever waits for the change itself
//! asserts `service.status_changed`. The one poll of the kit is [`wait_until`], for what nobody tells of.

use std::panic::Location;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::ceiling::{CEILING, ceiling};
use super::heard::Listening as _;
use super::{TestService, event, scrape};
use crate::component::Role;
use crate::config::ComponentId;
use crate::events::{Event, Filter, Gap, PoolEvent, Subscription};
use crate::status::{State, Status};

/// How soon the poll looks again: at first at once, for what is nearly there …
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// … and later so seldom that looking costs nothing.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Waits until something is so that nobody tells of: the state of another process, a counter of a client. It is the only
/// poll of the kit, and the last resort. Between two looks everything else runs, and a paused clock goes on when nothing
/// else is left to do, a step of at most a tenth of a second at a time.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
/// # runtime.block_on(async {
/// static DONE: AtomicBool = AtomicBool::new(false);
/// let other = std::thread::spawn(|| DONE.store(true, Ordering::Release));
/// tracecore::testing::wait_until(|| DONE.load(Ordering::Acquire)).await;
/// # other.join().expect("it ends");
/// # });
/// ```
///
/// # Panics
/// When it is not so at the ceiling. The message names the line that waits.
#[track_caller]
pub fn wait_until(holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let place = Location::caller();
    async move {
        if !polled(None, holds).await {
            panic!("{place}: it was not so within {:?}", ceiling(CEILING));
        }
    }
}

/// Looks after each event, if there are any, and from time to time. Whether it was so before the ceiling.
async fn polled(mut events: Option<Subscription>, mut holds: impl FnMut() -> bool) -> bool {
    let looking = async {
        let mut look = FIRST_LOOK;
        while !holds() {
            let next = async {
                match &mut events {
                    Some(events) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            match timeout(look, next).await {
                Ok(Err(Gap::Closed)) => events = None,
                Ok(_) => {}
                Err(_) => look = (look * 2).min(LAST_LOOK),
            }
        }
    };
    timeout(ceiling(CEILING), looking).await.is_ok()
}

impl TestService {
    /// Waits until every component has started, or is ignored.
    ///
    /// # Panics
    /// When the service does not get ready, with the state of each pipeline.
    #[track_caller]
    pub fn wait_ready(&mut self) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            if timeout(ceiling(CEILING), self.running.ready()).await.is_err() {
                let states = self.running.pipelines();
                let states: Vec<String> = states.iter().map(|(id, state)| format!("{id} is {state}")).collect();
                panic!("{place}: the service is not ready within {:?}: {}", ceiling(CEILING), states.join(", "));
            }
        }
    }

    /// Waits until the component of this id is in this state.
    ///
    /// # Panics
    /// When it does not come into it, with its status; when there is no such component, or one in two roles.
    #[track_caller]
    pub fn wait_status(&self, id: &str, state: State) -> impl Future<Output = Status> {
        self.watched(id, format!("is not {state}"), move |status| status.state == state)
    }

    /// Waits until the component of this id works.
    ///
    /// # Panics
    /// As [`TestService::wait_status`].
    #[track_caller]
    pub fn wait_healthy(&self, id: &str) -> impl Future<Output = Status> {
        self.wait_status(id, State::Ok)
    }

    /// Waits until the component of this id is in a better state than now.
    ///
    /// # Panics
    /// As [`TestService::wait_status`].
    #[track_caller]
    pub fn wait_improved(&self, id: &str) -> impl Future<Output = Status> {
        let before = self.watch(id).borrow().state;
        let improved = move |status: &Status| status.state != before && status.state.and(before) == before;
        self.watched(id, format!("is no better than {before}"), improved)
    }

    /// Waits until the component of this id is restarted. Every restart is told once, those of the past first.
    ///
    /// # Panics
    /// As [`TestService::wait_status`].
    #[track_caller]
    pub fn wait_restart(&mut self, id: &str) -> impl Future<Output = Status> + use<> {
        let told = self.restarts.entry(id.to_owned()).or_default();
        let before = *told;
        *told += 1;
        self.watched(id, format!("was not restarted more than {before} times"), move |status| status.restarts > before)
    }

    /// Waits until everything of this resource (`listener`, `thread`) that components took is given back; how many they
    /// had taken.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn wait_cleanup(&self, resource: &'static str) -> impl Future<Output = u64> + use<> {
        let (place, resources) = (Location::caller(), self.running.resources().clone());
        async move {
            if timeout(ceiling(CEILING), resources.released(resource)).await.is_err() {
                let held = resources.held(resource);
                panic!("{place}: {held} of `{resource}` are still held after {:?}", ceiling(CEILING));
            }
            resources.acquired(resource)
        }
    }

    /// Waits until the connection pool of the component of this id has a connection, in use or not.
    ///
    /// # Panics
    /// When it has none, with the events that came instead; with events switched off, for only they tell of a pool.
    #[track_caller]
    pub fn wait_pool_ready(&mut self, id: &str) -> impl Future<Output = ()> {
        let (place, health) = (Location::caller(), event!("pool.health", component = id));
        async move {
            loop {
                let told =
                    self.listening().one(health.clone()).await.unwrap_or_else(|unmet| panic!("{place}: {unmet}"));
                if matches!(told.event, Event::Pool(PoolEvent::Health { active, idle }) if active + idle > 0) {
                    return;
                }
            }
        }
    }

    /// Waits until the sum of the series of this family with these labels is as wanted, and gives it. It is read after
    /// each event, and from time to time as [`wait_until`] does. A series that is not there yet is zero.
    ///
    /// # Panics
    /// When it does not get so, with what it is.
    #[track_caller]
    pub fn wait_metric(
        &self,
        family: &str,
        labels: &[(&str, &str)],
        wanted: impl Fn(f64) -> bool,
    ) -> impl Future<Output = f64> {
        let place = Location::caller();
        let events = self.running.events().subscribe(Filter::all());
        async move {
            let mut value = 0.0;
            let read = || {
                value = scrape(self.running.telemetry(), family, labels).iter().sum();
                wanted(value)
            };
            if !polled(Some(events), read).await {
                panic!("{place}: {family}{labels:?} is {value} after {:?}", ceiling(CEILING));
            }
            value
        }
    }

    #[track_caller]
    fn watched<W: FnMut(&Status) -> bool>(
        &self,
        id: &str,
        otherwise: String,
        wanted: W,
    ) -> impl Future<Output = Status> + use<W> {
        let (place, id, mut status) = (Location::caller(), id.to_owned(), self.watch(id));
        async move {
            // It shows nothing more once the component is gone.
            let shown = timeout(ceiling(CEILING), status.wait_for(wanted)).await.ok().and_then(Result::ok);
            if let Some(shown) = shown.map(|shown| shown.clone()) {
                return shown;
            }
            panic!("{place}: `{id}` {otherwise} within {:?}: {:?}", ceiling(CEILING), *status.borrow());
        }
    }

    #[track_caller]
    fn watch(&self, id: &str) -> watch::Receiver<Status> {
        let known: ComponentId = id.parse().unwrap_or_else(|error| panic!("{error}"));
        let mut found = Role::ALL.iter().filter_map(|role| self.running.watch(*role, &known));
        match (found.next(), found.next()) {
            (Some(only), None) => only,
            (None, _) => panic!("there is no component `{id}`"),
            (Some(_), Some(_)) => panic!("`{id}` stands in two roles: use `Running::watch`"),
        }
    }
}
