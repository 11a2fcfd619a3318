/// Settings of the `clock` receiver.
#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::tracecore::__private::serde::Deserialize,
    ::tracecore::__private::schemars::JsonSchema,
)]
#[serde(crate = "::tracecore::__private::serde", deny_unknown_fields)]
#[schemars(crate = "::tracecore::__private::schemars")]
struct Config {
    /// Time between two ticks.
    #[serde(default = "Config::__default_interval")]
    interval: Period,
    /// How much is sent at once.
    #[serde(default = "Config::__default_batch")]
    batch: Batching,
    /// Stop after so many ticks.
    limit: Option<NonZeroU64>,
}
impl Config {
    fn __default_interval() -> Period {
        Period::millis(100)
    }
    fn __default_batch() -> Batching {
        <Batching as ::core::default::Default>::default()
    }
}
impl ::core::default::Default for Config {
    fn default() -> Self {
        Config {
            interval: Self::__default_interval(),
            batch: Self::__default_batch(),
            limit: ::core::option::Option::None,
        }
    }
}
/// How ticks become batches.
#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::tracecore::__private::serde::Deserialize,
    ::tracecore::__private::schemars::JsonSchema,
)]
#[serde(crate = "::tracecore::__private::serde", deny_unknown_fields)]
#[schemars(crate = "::tracecore::__private::schemars")]
struct Batching {
    /// Where to.
    endpoint: Endpoint,
    /// Wait for more.
    #[serde(default = "Batching::__default_await")]
    r#await: bool,
}
impl Batching {
    fn __default_await() -> bool {
        false
    }
}
/// How to choose the next endpoint.
#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::tracecore::__private::serde::Deserialize,
    ::tracecore::__private::schemars::JsonSchema,
    ::tracecore::__private::serde::Serialize,
    ::core::default::Default
)]
#[serde(
    crate = "::tracecore::__private::serde",
    deny_unknown_fields,
    rename_all = "snake_case"
)]
#[schemars(crate = "::tracecore::__private::schemars")]
#[derive(Copy)]
enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one that the label names.
    #[serde(rename = "by-label")]
    ByLabel,
}
/// Where a certificate comes from.
#[derive(
    ::core::clone::Clone,
    ::core::fmt::Debug,
    ::tracecore::__private::serde::Deserialize,
    ::tracecore::__private::schemars::JsonSchema,
    ::tracecore::__private::serde::Serialize
)]
#[serde(
    crate = "::tracecore::__private::serde",
    deny_unknown_fields,
    rename_all = "snake_case"
)]
#[schemars(crate = "::tracecore::__private::schemars")]
enum Certificate {
    /// None is needed.
    Off,
    /// From this file.
    #[serde(skip_serializing)]
    File(PathBuf),
    /// From a directory that is watched.
    #[serde(skip_serializing)]
    Watched {
        /// The directory.
        path: PathBuf,
        /// Time between two looks.
        #[serde(default = "Certificate::__default_watched__interval")]
        interval: Period,
    },
}
impl Certificate {
    fn __default_watched__interval() -> Period {
        Period::secs(10)
    }
}
