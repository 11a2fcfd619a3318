/// Sends one tick per interval.
///
/// For trying out what stands behind it.
struct Clock {
    config: Config,
}
#[doc(hidden)]
#[allow(
    non_local_definitions,
    reason = "a name is the crate's, wherever its component is declared"
)]
#[macro_export]
macro_rules! __tracecore_receiver_clock {
    () => {};
}
#[doc(hidden)]
#[allow(
    non_local_definitions,
    reason = "a name is the crate's, wherever its component is declared"
)]
#[macro_export]
macro_rules! __tracecore_receiver_clockreceiver {
    () => {};
}
const _: () = {
    use ::tracecore::__private as __rt;
    impl __rt::Component for Clock {
        const ROLE: __rt::Role = __rt::Role::Receiver;
        const NAME: &'static str = "clock";
        const ALIASES: &'static [&'static str] = &["clockreceiver"];
        const SIGNALS: &'static [__rt::Signal] = &[__rt::Signal::Metrics];
        const SUMMARY: &'static str = "Sends one tick per interval.";
        const STABILITY: __rt::Stability = __rt::Stability::Development;
        const SINCE: &'static str = "0.2.0";
        const EXAMPLE: &'static str = "";
        type Config = Config;
        type Data = Data;
        type Telemetry = __rt::NoTelemetry;
        type Error = __rt::Never;
    }
    const LOCATION: &str = ::core::concat!(::core::file!(), ":", ::core::line!());
    #[__rt::linkme::distributed_slice(__rt::COMPONENTS)]
    #[linkme(crate = __rt::linkme)]
    static ENTRY: __rt::Entry = __rt::Entry::receiver::<Clock>(LOCATION);
    #[unsafe(export_name = "tracecore.receiver.clock")]
    static CLAIM_CLOCK: u8 = 0;
    #[unsafe(export_name = "tracecore.receiver.clockreceiver")]
    static CLAIM_CLOCKRECEIVER: u8 = 0;
};
/// Lets one batch in `every` through.
struct Sample {
    config: Config,
}
#[doc(hidden)]
#[allow(
    non_local_definitions,
    reason = "a name is the crate's, wherever its component is declared"
)]
#[macro_export]
macro_rules! __tracecore_processor_sample {
    () => {};
}
const _: () = {
    use ::tracecore::__private as __rt;
    impl __rt::Component for Sample {
        const ROLE: __rt::Role = __rt::Role::Processor;
        const NAME: &'static str = "sample";
        const ALIASES: &'static [&'static str] = &[];
        const SIGNALS: &'static [__rt::Signal] = &__rt::Signal::ALL;
        const SUMMARY: &'static str = "Lets one batch in `every` through.";
        const STABILITY: __rt::Stability = __rt::Stability::Beta;
        const SINCE: &'static str = "0.1.0";
        const EXAMPLE: &'static str = "";
        type Config = Config;
        type Data = __rt::NoData;
        type Telemetry = __rt::NoTelemetry;
        type Error = Error;
    }
    const LOCATION: &str = ::core::concat!(::core::file!(), ":", ::core::line!());
    #[__rt::linkme::distributed_slice(__rt::COMPONENTS)]
    #[linkme(crate = __rt::linkme)]
    static ENTRY: __rt::Entry = __rt::Entry::processor::<Sample>(LOCATION);
    #[unsafe(export_name = "tracecore.processor.sample")]
    static CLAIM_SAMPLE: u8 = 0;
};
/// Writes every batch to standard output.
struct Stdout;
#[doc(hidden)]
#[allow(
    non_local_definitions,
    reason = "a name is the crate's, wherever its component is declared"
)]
#[macro_export]
macro_rules! __tracecore_exporter_stdout {
    () => {};
}
const _: () = {
    use ::tracecore::__private as __rt;
    impl __rt::Component for Stdout {
        const ROLE: __rt::Role = __rt::Role::Exporter;
        const NAME: &'static str = "stdout";
        const ALIASES: &'static [&'static str] = &[];
        const SIGNALS: &'static [__rt::Signal] = &__rt::Signal::ALL;
        const SUMMARY: &'static str = "Writes every batch to standard output.";
        const STABILITY: __rt::Stability = __rt::Stability::Development;
        const SINCE: &'static str = "0.1.0";
        const EXAMPLE: &'static str = "";
        type Config = __rt::NoConfig;
        type Data = __rt::NoData;
        type Telemetry = Health;
        type Error = __rt::Never;
    }
    const LOCATION: &str = ::core::concat!(::core::file!(), ":", ::core::line!());
    #[__rt::linkme::distributed_slice(__rt::COMPONENTS)]
    #[linkme(crate = __rt::linkme)]
    static ENTRY: __rt::Entry = __rt::Entry::exporter::<Stdout>(LOCATION);
    #[unsafe(export_name = "tracecore.exporter.stdout")]
    static CLAIM_STDOUT: u8 = 0;
};
