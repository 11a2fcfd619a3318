//! Where a piece of configuration was written, and the path that leads to it.

use std::fmt;
use std::sync::Arc;

/// The place that a value or a key came from. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    source: Arc<str>,
    line: u32,
    column: u32,
    via: Option<Arc<str>>,
}

impl Origin {
    /// A place in a text; line and column count from 1, the column in characters.
    pub fn new(source: Arc<str>, line: u32, column: u32) -> Self {
        Origin { source, line, column, via: None }
    }

    /// A source as a whole, for what has no lines (`--set a.b`) and for what could not be read.
    pub fn whole(source: impl Into<Arc<str>>) -> Self {
        Origin::new(source.into(), 0, 0)
    }

    /// The same place, its value fetched from elsewhere, such as `env:NAME`.
    pub(super) fn through(&self, via: Arc<str>) -> Self {
        Origin { via: Some(via), ..self.clone() }
    }

    /// The file's path, `--set a.b`, `env:NAME`, `yaml` or the name of an embedded default.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The line, from 1; 0 where the source has no lines.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column in characters, from 1; 0 where the source has no lines.
    pub fn column(&self) -> u32 {
        self.column
    }

    /// What a substitution fetched the value from (`env:NAME`, `file:PATH`). Such a value may be a secret, so no
    /// message repeats it.
    pub fn via(&self) -> Option<&str> {
        self.via.as_deref()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.via.as_ref().map_or(Ok(()), |via| write!(f, " via {via}"))
    }
}

/// The way to a node from the top, as a chain on the stack: `receivers.clock.interval`, `exporters.a.headers[2]`.
///
/// It becomes text only when there is something to report.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Root(&'p str),
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(text) => f.write_str(text),
            Path::Key(Path::Root(""), key) => f.write_str(key),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
