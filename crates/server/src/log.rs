//! The log: one line per event, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogFilter, LogFormat};

/// Starts the process's log. Only the first call counts.
pub(crate) fn start(filter: &LogFilter, format: LogFormat) {
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let subscriber = subscriber(filter, json, terminal, std::io::stderr);
    // A second call is one of a test or of the demo inside one process; the first log goes on.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn subscriber(
    filter: &LogFilter,
    json: bool,
    colour: bool,
    to: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Box<dyn tracing::Subscriber + Send + Sync> {
    let log = tracing_subscriber::fmt().with_env_filter(filter.filter()).with_writer(to).with_ansi(colour);
    if json {
        Box::new(log.json().flatten_event(true).with_current_span(false).with_span_list(false).finish())
    } else {
        Box::new(log.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::subscriber;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, json: bool) -> String {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = subscriber(&filter.parse().unwrap(), json, false, move || to.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(answer = "a\nb\u{1b}[31m", "something happened");
            tracing::debug!("something small");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields_beside_its_message() {
        let text = logged("info", true);
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "something happened");
        assert_eq!(line["answer"], "a\nb\u{1b}[31m");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn text_stays_on_one_line_without_control_characters() {
        let text = logged("info", false);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn the_filter_decides_what_is_written() {
        assert_eq!(logged("debug", true).lines().count(), 2);
        assert_eq!(logged("warn", true), "");
        assert_eq!(logged("warn,pitlane=info", true).lines().count(), 1);
    }
}
