//! The walk accepts what prost accepts and counts what it decodes; what it accepts can be put together and cut, and nothing
//! of it is lost.
#![no_main]

use std::num::{NonZeroU64, NonZeroUsize};

use libfuzzer_sys::fuzz_target;
use tracecore::signal::{Batch, Decoded, SplitLimit};
use tracecore_fuzz::{batch, count, decode, encode, signal_and_rest};

fuzz_target!(|input: &[u8]| {
    let Some((signal, bytes)) = signal_and_rest(input) else { return };
    let Some(batch) = batch(signal, bytes) else { return };
    let decoded = decode(signal, bytes).expect("it was decoded before");
    assert_eq!(encode(&batch.decode()), encode(&decoded));
    let normalised = batch.normalised();
    assert!(normalised.is_canonical());
    assert_eq!(encode(&normalised.decode()), encode(&decoded));

    let mut twice = batch.clone();
    twice.merge(batch.clone()).expect("they are of one signal");
    assert_eq!((twice.items(), count(&twice.decode())), (2 * batch.items(), 2 * batch.items()));
    let limit = u64::from(input[0]) / 3 + 1;
    let items = SplitLimit::Items(NonZeroU64::new(limit).expect("it is not zero"));
    let size = SplitLimit::Bytes(NonZeroUsize::new(limit as usize * 8).expect("it is not zero"));
    for by in [items, size] {
        let pieces: Vec<Batch> = twice.split(by).collect();
        for piece in &pieces {
            let again = Batch::validate(signal, piece.parts().concat().into()).expect("a piece is a batch");
            assert_eq!((piece.items(), piece.size()), (again.items(), again.size()));
            assert!(by != items || piece.items() <= limit);
        }
        assert_eq!(pieces.iter().map(Batch::items).sum::<u64>(), twice.items());
        let cut: Vec<Vec<u8>> = pieces.iter().flat_map(|piece| items_of(&piece.decode())).collect();
        assert_eq!(cut, items_of(&twice.decode()));
    }
});

/// The items alone, encoded, in their order.
fn items_of(decoded: &Decoded) -> Vec<Vec<u8>> {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use prost::Message;
    fn all<'a, M: Message + 'a>(items: impl IntoIterator<Item = &'a M>) -> Vec<Vec<u8>> {
        items.into_iter().map(Message::encode_to_vec).collect()
    }
    match decoded {
        Decoded::Traces(data) => {
            all(data.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|scope| &scope.spans))
        }
        Decoded::Logs(data) => {
            all(data.resource_logs.iter().flat_map(|r| &r.scope_logs).flat_map(|scope| &scope.log_records))
        }
        Decoded::Metrics(data) => {
            let metrics = data.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|scope| &scope.metrics);
            metrics
                .flat_map(|metric| match &metric.data {
                    None => Vec::new(),
                    Some(Data::Gauge(data)) => all(&data.data_points),
                    Some(Data::Sum(data)) => all(&data.data_points),
                    Some(Data::Histogram(data)) => all(&data.data_points),
                    Some(Data::ExponentialHistogram(data)) => all(&data.data_points),
                    Some(Data::Summary(data)) => all(&data.data_points),
                })
                .collect()
        }
    }
}
