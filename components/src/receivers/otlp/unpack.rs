//! From the bytes of a request to its batch: decompressed, decoded if they are JSON, and validated.
//!
//! Invariants: what takes long is not done on a thread that receives, or the other connections of that thread would wait for
//! it, and a few bytes can take long; what waits for its turn there, and what it is decompressed to, is charged to the
//! memory of the process, and freed with the request.

use bytes::Bytes;
use tracecore::cx::Offload;
use tracecore::error::Report;
use tracecore::memory::{Arriving, Memory};
use tracecore::otlp::compression::{DecompressError, Encoding, decompress, decompress_held};
use tracecore::otlp::grpc::Code;
use tracecore::otlp::status::Status;
use tracecore::otlp::{Format, json};
use tracecore::prelude::*;

use super::intake::no_memory;

/// Bytes of a request, compressed or in JSON, up to which it is unpacked in place: 100 spans compressed with gzip, or some 20
/// in JSON, which take some 40 to 70 µs. To hand it to another thread costs ten.
const IN_PLACE: usize = 8 * 1024;

/// Bytes that it may be decompressed to there: sixteen times as much, which telemetry hardly reaches. What is more is a
/// bomb, or takes long, and is begun anew elsewhere.
const IN_PLACE_UNPACKED: usize = 16 * IN_PLACE;

/// Where requests are unpacked.
#[derive(Clone)]
pub(super) struct Unpacker {
    pub(super) offload: Offload,
    pub(super) memory: Memory,
}

/// A request as it came.
pub(super) struct Packed {
    pub(super) signal: Signal,
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    pub(super) bytes: Bytes,
    /// How large it may be when it is decompressed, in bytes.
    pub(super) limit: usize,
}

/// Why a request is none.
pub(super) enum Unpackable {
    /// It is larger than the limit when it is decompressed.
    TooLarge,
    /// It is compressed otherwise than it says.
    Corrupt(DecompressError),
    /// What is in it, or there is no memory for it.
    Status(Status),
}

impl Unpacker {
    pub(super) async fn unpack(&self, packed: Packed) -> Result<Batch, Unpackable> {
        if packed.encoding == Encoding::Identity && packed.format == Format::Protobuf {
            return batch(packed.signal, packed.format, packed.bytes);
        }
        if packed.bytes.len() <= IN_PLACE {
            let limit = IN_PLACE_UNPACKED.min(packed.limit);
            match decompress(packed.encoding, &packed.bytes, limit) {
                Err(DecompressError::TooLarge(limit)) if limit < packed.limit => {}
                bytes => return batch(packed.signal, packed.format, bytes?),
            }
        }
        // Allocated, so that the requests that do not come here are not larger for it.
        Box::pin(self.unpack_elsewhere(packed)).await
    }

    async fn unpack_elsewhere(&self, packed: Packed) -> Result<Batch, Unpackable> {
        let mut held = self.memory.arriving();
        held.grow(packed.bytes.len()).map_err(|_| Unpackable::Status(no_memory()))?;
        // What is held is freed when the result is taken, or when nobody wants it.
        let (batch, _held) = self.offload.run(move || (packed.unpack(&mut held), held)).await;
        batch
    }
}

impl Packed {
    fn unpack(&self, held: &mut Arriving) -> Result<Batch, Unpackable> {
        batch(self.signal, self.format, decompress_held(self.encoding, &self.bytes, self.limit, held)?)
    }
}

fn batch(signal: Signal, format: Format, bytes: Bytes) -> Result<Batch, Unpackable> {
    let batch = match format {
        Format::Protobuf => Batch::validate(signal, bytes).map_err(|error| error.to_string()),
        Format::Json => json::decode(signal, &bytes).map_err(|error| Report(&error).to_string()),
    };
    batch.map_err(|problem| Unpackable::Status(Status::new(Code::InvalidArgument, problem)))
}

impl From<DecompressError> for Unpackable {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::TooLarge(_) => Unpackable::TooLarge,
            DecompressError::NoMemory(_) => Unpackable::Status(no_memory()),
            corrupt @ DecompressError::Corrupt { .. } => Unpackable::Corrupt(corrupt),
        }
    }
}
