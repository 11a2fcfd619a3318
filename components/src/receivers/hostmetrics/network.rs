//! The `network` scraper: `/proc/net/dev`, and the number of TCP connections.
//!
//! Connections are not listed: a busy host has tens of thousands, and reading `/proc/net/tcp` costs the kernel microseconds
//! for each. The kernel counts two states itself (`/proc/net/snmp`, `/proc/net/sockstat`); the others are deliberately
//! absent. So are the host's ends of container networks, of which there may be hundreds.

use std::time::SystemTime;

use tracecore::prelude::*;

use super::Tick;
use super::disk::Device;
use super::procfs::{File, Malformed, Root, lines, number, numbers, signed, words};
use super::totals::Devices;

/// The columns of `/proc/net/dev`: eight received, eight transmitted.
const COLUMNS: usize = 16;

/// How the lines above the interfaces are told from them: these have no colon.
const SEPARATOR: u8 = b':';

/// What the names of the host's ends of container networks begin with: veth pairs, and those of Calico, Cilium, the
/// Azure, AWS and Google network plugins, and of virtual machines.
const CONTAINER_ENDS: [&[u8]; 8] = [b"veth", b"cali", b"lxc", b"azv", b"eni", b"gke", b"vnet", b"tap"];

/// What the `network` scraper measures.
#[derive(MetricSet)]
pub(super) struct NetworkMetrics {
    /// Bytes transferred.
    #[unit("By")]
    #[name("system.network.io")]
    io: Counter<(Interface, Direction)>,
    /// Packets transferred.
    #[unit("{packet}")]
    #[name("system.network.packet.count")]
    packets: Counter<(Device, Direction)>,
    /// Packets dropped although they had no error.
    #[unit("{packet}")]
    #[name("system.network.packet.dropped")]
    dropped: Counter<(Interface, Direction)>,
    /// Transfers that failed.
    #[unit("{error}")]
    #[name("system.network.errors")]
    errors: Counter<(Interface, Direction)>,
    /// TCP connections, of IPv4 and IPv6 together. As the kernel counts them, those in close-wait are established.
    #[unit("{connection}")]
    #[name("system.network.connection.count")]
    connections: UpDownCounter<(Transport, ConnectionState)>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Label)]
#[key("network.interface.name")]
#[max(64)]
pub(super) struct Interface(Name);

/// Which way the packets went.
#[derive(Clone, Copy, Debug, Label)]
#[key("network.io.direction")]
pub(super) enum Direction {
    Receive,
    Transmit,
}

/// What connects.
#[derive(Clone, Copy, Debug, Label)]
#[key("network.transport")]
pub(super) enum Transport {
    Tcp,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Label)]
#[key("network.connection.state")]
pub(super) enum ConnectionState {
    Established,
    TimeWait,
}

/// Reads the network.
#[derive(Debug)]
pub(super) struct Network {
    dev: File,
    snmp: File,
    sockstat: File,
    interfaces: Devices<COLUMNS, Name>,
}

impl Network {
    pub(super) fn new(root: &Root) -> Self {
        Network {
            dev: root.namespace_file("net/dev"),
            snmp: root.namespace_file("net/snmp"),
            sockstat: root.namespace_file("net/sockstat"),
            interfaces: Devices::new(),
        }
    }

    pub(super) fn scrape(&mut self, tick: &mut Tick, metrics: &mut NetworkMetrics) {
        let Network { dev, interfaces, .. } = self;
        let scraped = dev.read(|content| {
            let mut wrong = Ok(());
            for line in lines(content).filter(|line| line.contains(&SEPARATOR)) {
                match parse(line) {
                    None => wrong = Err(Malformed::line(line)),
                    Some((name, _)) if is_container_end(name) => {}
                    Some((name, columns)) => {
                        let keep = || Name::new(&String::from_utf8_lossy(name));
                        let (name, since) = interfaces.update(name, columns, tick.boot, keep);
                        record(metrics, name, columns, since);
                    }
                }
            }
            interfaces.end(tick.now);
            wrong
        });
        tick.check(scraped);
        for (read, state) in [
            (self.snmp.read(established), ConnectionState::Established),
            (self.sockstat.read(time_wait), ConnectionState::TimeWait),
        ] {
            if let Some(connections) = tick.check(read) {
                metrics.connections.set(signed(connections), (Transport::Tcp, state));
            }
        }
    }
}

/// The name, and the totals after it.
fn parse(line: &[u8]) -> Option<(&[u8], [u64; COLUMNS])> {
    let colon = line.iter().rposition(|byte| *byte == SEPARATOR)?;
    Some((line[..colon].trim_ascii(), numbers(words(&line[colon + 1..]))?))
}

fn is_container_end(name: &[u8]) -> bool {
    CONTAINER_ENDS.iter().any(|prefix| name.starts_with(prefix))
}

fn record(metrics: &mut NetworkMetrics, name: &Name, columns: [u64; COLUMNS], since: SystemTime) {
    let [
        received,
        packets_received,
        receive_errors,
        receive_dropped,
        _,
        _,
        _,
        _,
        sent,
        packets_sent,
        send_errors,
        send_dropped,
        ..,
    ] = columns;
    let directions = [
        (Direction::Receive, received, packets_received, receive_errors, receive_dropped),
        (Direction::Transmit, sent, packets_sent, send_errors, send_dropped),
    ];
    for (direction, bytes, packets, errors, dropped) in directions {
        let interface = || (Interface(name.clone()), direction);
        metrics.io.set_total(bytes, since, interface());
        metrics.packets.set_total(packets, since, (Device(name.clone()), direction));
        metrics.dropped.set_total(dropped, since, interface());
        metrics.errors.set_total(errors, since, interface());
    }
}

/// `CurrEstab` of `/proc/net/snmp`: a line of names, then a line of values.
fn established(content: &[u8]) -> Result<u64, Malformed> {
    let mut tcp = lines(content).filter_map(|line| line.strip_prefix(b"Tcp:"));
    let names = tcp.next().ok_or(Malformed::Missing("Tcp"))?;
    let values = tcp.next().ok_or_else(|| Malformed::line(names))?;
    let found = words(names).zip(words(values)).find(|(name, _)| name == b"CurrEstab");
    let (_, value) = found.ok_or(Malformed::Missing("CurrEstab"))?;
    number(value).ok_or_else(|| Malformed::line(values))
}

/// `tw` of `/proc/net/sockstat`: names and values by turns.
fn time_wait(content: &[u8]) -> Result<u64, Malformed> {
    let tcp = lines(content).find_map(|line| line.strip_prefix(b"TCP:")).ok_or(Malformed::Missing("TCP"))?;
    let value = words(tcp).skip_while(|word| word != b"tw").nth(1).ok_or(Malformed::Missing("tw"))?;
    number(value).ok_or_else(|| Malformed::line(tcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_totals() {
        let (name, totals) = parse(b"  eth0:123 7 1 2 0 0 0 0 678 5 3 4 0 0 0 0").unwrap();
        assert_eq!((name, totals[0], totals[11]), (&b"eth0"[..], 123, 4));
        assert_eq!(parse(b"eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").unwrap().0, b"eth0:1");
        for line in ["eth0:", "eth0: 1 2 3", "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 -16"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn the_hosts_ends_of_container_networks_are_left_out() {
        for name in ["veth0a1b2c3", "cali12345678901", "lxc_health", "eni01234567890"] {
            assert!(is_container_end(name.as_bytes()), "{name}");
        }
        for name in ["lo", "eth0", "enp1s0f0np0", "ib0", "bond0", "docker0", "cni0", "cilium_host"] {
            assert!(!is_container_end(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn connections_are_those_the_kernel_counts() {
        let snmp = b"Ip: Forwarding\nIp: 1\nTcp: RtoMin MaxConn CurrEstab InSegs\nTcp: 200 -1 42 99\nUdp: x\n";
        assert_eq!(established(snmp), Ok(42));
        let sockstat = b"sockets: used 19\nTCP: inuse 1 orphan 0 tw 47 alloc 1 mem 0\nUDP: inuse 0 mem 0\n";
        assert_eq!(time_wait(sockstat), Ok(47));
        for content in ["", "Tcp: CurrEstab\n", "Tcp: RtoMin\nTcp: 1\n", "Tcp: CurrEstab\nTcp: many\n"] {
            assert!(established(content.as_bytes()).is_err(), "{content:?}");
        }
        for content in ["", "TCP: inuse 1\n", "TCP: tw\n", "TCP: tw -1\n"] {
            assert!(time_wait(content.as_bytes()).is_err(), "{content:?}");
        }
    }
}
