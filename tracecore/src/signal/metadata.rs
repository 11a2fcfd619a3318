//! What a request brought beside its body.

use std::fmt;
use std::sync::Arc;

/// How many bytes of names and values there may be. A server's header list is smaller; this bounds what a batch pins
/// whoever made it.
const MAX_BYTES: usize = 64 * 1024;

/// What a name with its value takes beside their characters: two pointers with lengths, and two allocations of the least
/// size. In bytes.
const PAIR_BYTES: usize = 64;

/// The headers (HTTP) or the metadata (gRPC) of the request that brought a batch. Cloning clones a reference.
///
/// Names are lower case. A name may have several values; they stay in the order of the request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Metadata(Arc<[(Box<str>, Box<str>)]>);

/// There is more metadata than a batch may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes of metadata, at most {MAX_BYTES} can go with a batch")]
pub struct MetadataTooLarge(pub usize);

impl Metadata {
    /// The metadata of these names and values.
    ///
    /// # Errors
    ///
    /// If they are longer than 64 KiB, all together.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Metadata, MetadataTooLarge> {
        let mut size = 0;
        let pairs = pairs.into_iter().map(|(name, value)| {
            size += name.as_ref().len() + value.as_ref().len();
            (name.as_ref().to_ascii_lowercase().into(), value.as_ref().into())
        });
        let pairs: Arc<[_]> = pairs.collect();
        if size > MAX_BYTES { Err(MetadataTooLarge(size)) } else { Ok(Metadata(pairs)) }
    }

    /// The first value of `name`, in whatever case it is written.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Every value of `name`, in whatever case it is written.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.iter().map(|(name, value)| (name.len() + value.len() + PAIR_BYTES) as u64).sum()
    }

    /// What of it has one of these names, in whatever case they are written.
    pub(crate) fn only(&self, names: &[String]) -> Metadata {
        let named = |(other, _): &&(Box<str>, Box<str>)| names.iter().any(|name| other.eq_ignore_ascii_case(name));
        Metadata(self.0.iter().filter(named).cloned().collect())
    }

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// The names alone: values may be secrets.
impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}
