//! Configuration: from sources to a typed [`Config`], every value knowing where it was written.
//!
//! [`load`] reads YAML sources, merges them, lays `--set` over them and resolves `${…}`, giving one tree of [`Node`]s.
//! [`Loaded::config`] takes the tree apart into components, pipelines and telemetry. A component's own settings stay
//! a [`Node`] until the component is known; then [`Node::deserialize`] makes its type of them.
//!
//! Invariants: whatever the input, work and memory are bounded and the answer is a value or errors with path, file,
//! line and column; nothing here reads the process environment, which is a function that the caller gives; no message
//! repeats a value that a substitution fetched. Deliberately absent: which component types exist (the registry's), and
//! any source on the network.

mod batch_processor;
mod de;
mod error;
mod extensions;
mod fault;
mod id;
mod lines;
mod listen;
mod model;
mod node;
mod origin;
mod reader;
mod resolved;
mod scalar;
mod service_schema;
mod service_telemetry;
mod source;
mod substitute;
mod telemetry;
mod value;
mod yaml;

#[cfg(test)]
mod tests;

pub(crate) use batch_processor::{BatchProcessor, TYPE as BATCH_PROCESSOR};
pub use error::{ConfigError, ConfigErrors, Severity};
pub(crate) use extensions::schemas as extension_schemas;
pub use extensions::{HealthCheck, HealthCheckSettings, ResponseBody};
pub(crate) use fault::{meant, nearest};
pub use id::{ComponentId, IdError, PipelineId};
pub(crate) use lines::Lines;
pub(crate) use listen::{Listen, collisions, listens};
pub use model::{Component, Config, Pipeline, Reference, Service};
pub use node::{Key, Node, Scalar, Value};
pub use origin::Origin;
pub use resolved::{Show, resolved, secrets};
pub(crate) use service_schema::ServiceSchema;
pub use source::{Loaded, Source, UriError, load};
pub use substitute::{MAX_REFERENCE_DEPTH, MAX_REFERENCES};
pub use telemetry::{EventMirrors, EventPipeline, Paths, Push, Readiness, StatusPage, Telemetry, Traces};
pub use value::{
    ByteSize, ByteSizeError, ClientAuth, Delay, DurationError, Endpoint, EndpointError, GrpcEndpoint,
    GrpcEndpointError, HttpUrl, HttpUrlError, Literal, MountPath, MountPathError, Named, Pattern, PatternError, Period,
    Profiles, Proxy, Ratio, RatioError, Secret, ServerAuth, ServerTls,
};
pub use yaml::{MAX_DEPTH, MAX_ERRORS, MAX_NODES, MAX_SOURCE_BYTES};

/// The environment as configuration sees it: a variable's value, or nothing where it is not set.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;
