//! The `stdout` exporter: the smallest component that sends something out.

use tokio::io::{AsyncWriteExt, Stdout, stdout};
use tokio::sync::Mutex;
use tracecore::prelude::*;

/// Writes every batch to standard output, for people and for pipes.
#[exporter("stdout", aliases = ["stdoutexporter"], config = Config, error = WriteError)]
struct StandardOutput {
    config: Config,
    out: Mutex<Stdout>,
}

/// Settings of the `stdout` exporter.
#[config]
struct Config {
    /// How a batch is written.
    #[default(TextFormat::Lines)]
    format: TextFormat,
}

impl Exporter for StandardOutput {
    fn new(config: Config) -> Result<Self, WriteError> {
        Ok(StandardOutput { config, out: Mutex::new(stdout()) })
    }

    async fn export(&self, batch: &Batch, cx: &Cx<Self>) -> Result<(), WriteError> {
        let text = batch.to_text(self.config.format);
        let mut out = self.out.lock().await;
        out.write_all(text.as_bytes()).await.map_err(|error| cx.output_closed(error))?;
        out.flush().await.map_err(|error| cx.output_closed(error))
    }
}
