//! What is logged, for tests.

use std::io::Write;
use std::sync::{Arc, Mutex};

/// Takes what is logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Takes what the work logs on this thread.
    pub(crate) fn during(&self, work: impl FnOnce()) {
        // A place in the code is asked about once. Were another thread the first there, with
        // nobody listening, it might stay silent for this one too: somebody always listens.
        let nobody = tracing_subscriber::registry();
        // A second time it is set already.
        let _ = tracing::subscriber::set_global_default(nobody);
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("a lock")).into_owned()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.text().matches(what).count()
    }
}
