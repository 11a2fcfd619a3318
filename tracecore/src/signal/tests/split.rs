//! Cut batches against what prost decodes of them.

use std::num::{NonZeroU64, NonZeroUsize};

use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};

use super::super::{Metadata, SplitLimit};
use super::*;

fn items(limit: u64) -> SplitLimit {
    SplitLimit::Items(NonZeroU64::new(limit).expect("not 0"))
}

fn bytes(limit: usize) -> SplitLimit {
    SplitLimit::Bytes(NonZeroUsize::new(limit).expect("not 0"))
}

/// Each item with all that stands around it, as bytes.
fn flat(decoded: &Decoded) -> Vec<Vec<u8>> {
    let mut flat = Vec::new();
    match decoded.clone() {
        Decoded::Traces(data) => {
            for mut resource in data.resource_spans {
                for mut scope in std::mem::take(&mut resource.scope_spans) {
                    for span in std::mem::take(&mut scope.spans) {
                        flat.push([resource.encode_to_vec(), scope.encode_to_vec(), span.encode_to_vec()].concat());
                    }
                }
            }
        }
        Decoded::Logs(data) => {
            for mut resource in data.resource_logs {
                for mut scope in std::mem::take(&mut resource.scope_logs) {
                    for log in std::mem::take(&mut scope.log_records) {
                        flat.push([resource.encode_to_vec(), scope.encode_to_vec(), log.encode_to_vec()].concat());
                    }
                }
            }
        }
        Decoded::Metrics(data) => {
            for mut resource in data.resource_metrics {
                for mut scope in std::mem::take(&mut resource.scope_metrics) {
                    for mut metric in std::mem::take(&mut scope.metrics) {
                        let around = [resource.encode_to_vec(), scope.encode_to_vec()].concat();
                        let points = take_points(&mut metric);
                        let metric = metric.encode_to_vec();
                        flat.extend(points.into_iter().map(|point| [&*around, &metric, &point].concat()));
                    }
                }
            }
        }
    }
    flat
}

fn take_points(metric: &mut Metric) -> Vec<Vec<u8>> {
    fn encoded<M: Message>(points: &mut Vec<M>) -> Vec<Vec<u8>> {
        points.drain(..).map(|point| point.encode_to_vec()).collect()
    }
    match &mut metric.data {
        Some(metric::Data::Gauge(gauge)) => encoded(&mut gauge.data_points),
        Some(metric::Data::Sum(sum)) => encoded(&mut sum.data_points),
        Some(metric::Data::Histogram(histogram)) => encoded(&mut histogram.data_points),
        Some(metric::Data::ExponentialHistogram(histogram)) => encoded(&mut histogram.data_points),
        Some(metric::Data::Summary(summary)) => encoded(&mut summary.data_points),
        None => Vec::new(),
    }
}

/// A batch of a few parts.
fn batch(random: &mut Generator, signal: Signal) -> Batch {
    let mut batch = valid(signal, encode(&random.request(signal)));
    for _ in 0..random.below(4) {
        batch.merge(valid(signal, encode(&random.request(signal)))).expect("the same signal");
    }
    batch
}

/// What holds of the pieces of any batch.
fn check(batch: &Batch, limit: SplitLimit) -> Vec<Batch> {
    let pieces: Vec<Batch> = batch.split(limit).collect();
    let mut all = Vec::new();
    for piece in &pieces {
        let again = valid(batch.signal(), piece.parts().concat());
        assert_eq!((piece.items(), piece.size()), (again.items(), again.size()));
        assert_eq!(count(&piece.decode()), piece.items());
        assert!(
            piece.is_canonical() <= again.is_canonical() && piece.has_unknown_fields() >= again.has_unknown_fields()
        );
        all.extend(flat(&piece.decode()));
    }
    assert_eq!(all, flat(&batch.decode()), "{limit:?}");
    pieces
}

#[test]
fn pieces_have_every_item_in_order_and_as_many_as_they_may() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let batch = batch(&mut random, signal);
            let limit = 1 + random.below(6) as u64;
            let pieces = check(&batch, items(limit));
            if let [full @ .., last] = &pieces[..] {
                prop_assert!(full.iter().all(|piece| piece.items() == limit));
                prop_assert!(last.items() <= limit);
            }
            prop_assert_eq!(pieces.len() as u64, batch.items().div_ceil(limit).max(1));
        }
    });
}

#[test]
fn pieces_are_as_large_as_they_may_be() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let batch = batch(&mut random, signal);
            let limit = 1 + random.below(batch.size() * 5 / 4);
            let pieces = check(&batch, bytes(limit));
            for piece in &pieces {
                prop_assert!(piece.size() <= limit || piece.items() <= 1, "{} of {limit}", piece.size());
            }
            for pair in pieces.windows(2) {
                // The first item of the next piece did not fit. A length can be longer for it, at each of five levels.
                let next = pair[1].split(items(1)).next().expect("a piece");
                prop_assert!(pair[0].size() + next.size() + 5 * 4 > limit);
            }
        }
    });
}

#[test]
fn pieces_keep_unknown_fields() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            let mut marks = Vec::new();
            tree.visit(&mut |node| {
                let mark = random.bits().to_le_bytes().to_vec();
                let at = random.below(node.fields.len() + 1);
                node.fields.insert(at, Field { number: 77, value: Value::Raw(1, mark.clone()) });
                marks.push(mark);
            });
            let batch = valid(signal, tree.write());
            let limit = 1 + random.below(batch.size());
            for limit in [items(1 + random.below(4) as u64), bytes(limit)] {
                let pieces = check(&batch, limit);
                let all: Vec<u8> = pieces.iter().flat_map(Batch::parts).flatten().copied().collect();
                for mark in &marks {
                    prop_assert!(all.windows(8).any(|bytes| bytes == mark), "{limit:?} loses an unknown field");
                }
            }
        }
    });
}

#[test]
fn pieces_of_damaged_fields_have_what_prost_decodes() {
    proptest!(config(), |(seed: u64)| {
        for signal in Signal::ALL {
            let mut random = Generator::new(seed);
            let mut tree = Node::read(signal.as_str(), &encode(&random.request(signal)));
            for _ in 0..8 {
                damage_fields(&mut tree, &mut random);
                if let Ok(batch) = validate(signal, tree.write()) {
                    check(&batch, items(1 + random.below(3) as u64));
                    check(&batch, bytes(1 + random.below(batch.size())));
                }
            }
        }
    });
}

#[test]
fn a_metric_with_many_points_is_cut_between_them() {
    let mut data = Payload::new(Script::Ascii).metrics(1);
    let metric = &mut data.resource_metrics[0].scope_metrics[0].metrics[0];
    let Some(metric::Data::Gauge(gauge)) = &mut metric.data else { panic!("the first is a gauge") };
    gauge.data_points = vec![gauge.data_points[0].clone(); 10];
    let batch = Batch::from_decoded(&Decoded::Metrics(data)).expect("valid");
    let pieces: Vec<u64> = check(&batch, items(4)).iter().map(Batch::items).collect();
    assert_eq!(pieces, [4, 4, 2]);
}

#[test]
fn what_is_most_of_its_part_is_a_slice_of_it_and_what_is_less_is_copied() {
    let one = |spans| Payload::new(Script::Ascii).traces(spans).encode_to_vec();
    let batch = valid(Signal::Traces, [one(9), one(1), one(1)].concat());
    let part = &batch.parts()[0];
    let pieces: Vec<Batch> = batch.split(items(10)).collect();
    let [first, second] = &pieces[..] else { panic!("11 spans") };
    assert_eq!(first.parts()[0].as_ptr(), part.as_ptr(), "nine spans of eleven are not copied");
    let pinned = part.as_ptr_range();
    assert!(!pinned.contains(&second.parts()[0].as_ptr()), "one span of eleven pins nothing");
    let whole: Vec<Batch> = batch.split(items(11)).collect();
    assert_eq!((whole.len(), whole[0].parts()[0].as_ptr()), (1, part.as_ptr()));
}

#[test]
fn pieces_have_the_metadata_of_their_batch() {
    let metadata = Metadata::new([("X-Tenant", "blue")]).expect("it is small");
    let batch = Batch::from_decoded(&Decoded::Logs(Payload::new(Script::Ascii).logs(3))).expect("valid");
    let batch = batch.with_metadata(metadata.clone());
    let mut pieces = batch.split(items(2));
    assert!(pieces.all(|piece| piece.metadata() == Some(&metadata)));
    assert_eq!(metadata.get("x-tenant"), Some("blue"));
}

#[test]
fn merging_keeps_metadata_that_is_the_same() {
    let logs = |tenant: &str| {
        let metadata = Metadata::new([("tenant", tenant)]).expect("it is small");
        Batch::from_decoded(&Decoded::Logs(Payload::new(Script::Ascii).logs(1))).expect("valid").with_metadata(metadata)
    };
    let mut same = logs("blue");
    same.merge(logs("blue")).expect("the same signal");
    assert_eq!(same.metadata().and_then(|metadata| metadata.get("tenant")), Some("blue"));
    same.merge(logs("green")).expect("the same signal");
    assert_eq!(same.metadata(), None, "what came with some of it is not said of all of it");
}

#[test]
fn metadata_is_bounded_and_shows_no_values() {
    let metadata = Metadata::new([("Authorization", "secret"), ("via", "a"), ("Via", "b")]).expect("it is small");
    assert_eq!(metadata.get_all("VIA").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(format!("{metadata:?}"), r#"["authorization", "via", "via"]"#);
    let error = Metadata::new([("a", "x".repeat(64 * 1024))]).expect_err("one byte more");
    assert_eq!(error.to_string(), "65537 bytes of metadata, at most 65536 can go with a batch");
}
