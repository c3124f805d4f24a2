//! An event of the log as one line of JSON: `timestamp`, `level`, the fields of the event in their order, `target`.
//!
//! Written for the line that every write leaves: straight into the line, without a tree or a map between.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// A line of JSON for each event. Spans are not written; there are none.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        writer.write_str("\",\"level\":\"")?;
        writer.write_str(event.metadata().level().as_str())?;
        writer.write_char('"')?;
        let mut fields = Fields { writer, scratch: String::new(), done: Ok(()) };
        event.record(&mut fields);
        let Fields { mut writer, done, .. } = fields;
        done?;
        writer.write_str(",\"target\":\"")?;
        writer.write_str(event.metadata().target())?;
        writer.write_str("\"}\n")
    }
}

/// Writes fields one by one.
struct Fields<'w> {
    writer: Writer<'w>,
    /// For what is shown and not a text yet.
    scratch: String,
    done: fmt::Result,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let put = || {
            self.writer.write_str(",\"")?;
            self.writer.write_str(field.name())?;
            self.writer.write_str("\":")?;
            write(&mut self.writer)
        };
        self.done = self.done.and_then(|()| put());
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.put(field, |writer| put_text(writer, text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        self.done = self.done.and_then(|()| write!(scratch, "{value:?}"));
        self.put(field, |writer| put_text(writer, &scratch));
        self.scratch = scratch;
    }

    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{error}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no numbers for what is none.
        self.put(field, |writer| if value.is_finite() { write!(writer, "{value}") } else { writer.write_str("null") });
    }
}

fn put_text(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        return writer.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?);
    }
    writer.write_char('"')?;
    writer.write_str(text)?;
    writer.write_char('"')
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_a_line_of_json_whatever_it_says() {
        let kept = Kept::default();
        let to = kept.clone();
        let logs = tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(logs, || {
            let error: &dyn std::error::Error = &io::Error::other("disk \"gone\"");
            tracing::info!(
                request.id = "r1",
                n = 7,
                less = -7,
                ms = 2.5,
                none = f64::NAN,
                yes = true,
                "all\nis \\ {}",
                1
            );
            tracing::warn!(error, seen = ?Some("x"), "two");
        });
        let kept = String::from_utf8(kept.0.lock().expect("nobody panics").clone()).expect("text");
        let lines: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let said = [
            json!({"level": "INFO", "request.id": "r1", "n": 7, "less": -7, "ms": 2.5, "none": null, "yes": true, "message": "all\nis \\ 1"}),
            json!({"level": "WARN", "error": "disk \"gone\"", "seen": "Some(\"x\")", "message": "two"}),
        ];
        for (line, said) in lines.iter().zip(&said) {
            let mut line = line.as_object().expect("an object").clone();
            let time = line.remove("timestamp").expect("every line has one");
            assert!(time.as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()), "{time}");
            assert_eq!(line.remove("target"), Some(json!(module_path!())));
            assert_eq!(Value::Object(line), *said);
        }
        assert_eq!(lines.len(), said.len());
    }
}
