//! Metrics as log lines in CloudWatch's embedded metric format. CloudWatch takes the figures from these lines:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use rekindle_domain::time::Clock;
use rekindle_service::metrics::TARGET;
use serde_json::{Map, Value, json};
use std::{fmt::Debug, sync::Arc};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, Filter},
};

/// A layer that writes each metric event as a line, and no other event.
pub struct Embedded<W> {
    /// The CloudWatch namespace of the metrics.
    pub namespace: String,
    /// Gives the time of each line.
    pub clock: Arc<dyn Clock>,
    /// Takes the lines.
    pub write: W,
}

/// A filter that lets every event pass but those of metrics.
pub struct NoMetrics;

impl<S> Filter<S> for NoMetrics {
    fn enabled(&self, event: &tracing::Metadata<'_>, _: &Context<'_, S>) -> bool {
        event.target() != TARGET
    }
}

impl<S, W> Layer<S> for Embedded<W>
where
    S: Subscriber,
    W: Fn(String) + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut figures = Figures::default();
        event.record(&mut figures);
        let metrics: Vec<Value> =
            figures.0.keys().map(|name| json!({ "Name": name, "Unit": unit(name) })).collect();
        let directive = json!({ "Namespace": self.namespace, "Dimensions": [[]], "Metrics": metrics });
        let about = json!({ "Timestamp": self.clock.now().0, "CloudWatchMetrics": [directive] });
        figures.0.insert("_aws".to_owned(), about);
        (self.write)(Value::Object(figures.0).to_string());
    }
}

/// The unit of a metric: the end of its name, or `Count`.
fn unit(name: &str) -> &'static str {
    ["Seconds", "Bytes"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or("Count")
}

#[derive(Default)]
struct Figures(Map<String, Value>);

impl Visit for Figures {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    /// Texts are left out: a metric event has figures only.
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekindle_domain::time::Time;
    use std::sync::Mutex;
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Time {
            Time(1_800_000_000_000)
        }
    }

    #[test]
    fn what_is_counted_is_a_line_of_the_embedded_metric_format() {
        let (lines, log) = (Arc::new(Mutex::new(Vec::new())), Log::default());
        let (written, to) = (lines.clone(), log.clone());
        let write = move |line| written.lock().unwrap().push(line);
        let layer = Embedded { namespace: "stack".to_owned(), clock: Arc::new(Still), write };
        let json = tracing_subscriber::fmt::layer().json().with_writer(move || to.clone());
        let json = json.with_filter(NoMetrics);
        tracing::subscriber::with_default(Registry::default().with(json).with(layer), || {
            tracing::info!(target: TARGET, RowsRestored = 5u64, RestoreSeconds = 1.5, "and no text");
            tracing::info!(rows = 3, "said, not counted");
        });
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 1);
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        let expected = json!({
            "_aws": {
                "Timestamp": 1_800_000_000_000i64,
                "CloudWatchMetrics": [{
                    "Namespace": "stack",
                    "Dimensions": [[]],
                    "Metrics": [
                        { "Name": "RestoreSeconds", "Unit": "Seconds" },
                        { "Name": "RowsRestored", "Unit": "Count" },
                    ],
                }],
            },
            "RowsRestored": 5,
            "RestoreSeconds": 1.5,
        });
        assert_eq!(line, expected);
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(log.lines().count() == 1 && log.contains("said, not counted"), "{log}");
    }
}
