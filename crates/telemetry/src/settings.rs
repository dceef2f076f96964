use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What is logged: a level, or directives such as `info,bus=debug`. Can be changed at run time.
    pub level: String,
    pub format: Format,
    pub traces: TraceSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: Format::Text, traces: TraceSettings::default() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people.
    Text,
    /// One object per line, with `trace_id`.
    Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceSettings {
    /// OTLP over gRPC, `http://collector:4317`. Without one nothing is exported; the context travels with the records all the same.
    pub endpoint: Option<String>,
    /// Share of new traces that are exported, 0 to 1. Whoever began a trace decided for all of it.
    pub sample_ratio: f64,
    /// What becomes a span, in the form of `level`. The product's own spans always do.
    pub filter: String,
    /// Of one export.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self { endpoint: None, sample_ratio: 1.0, filter: "info".to_owned(), timeout: Duration::from_secs(5) }
    }
}

impl Settings {
    /// What is wrong with them, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = crate::logs::filter(&self.level) {
            problems.push(format!("telemetry.level: {error}"));
        }
        if let Err(error) = crate::logs::filter(&self.traces.filter) {
            problems.push(format!("telemetry.traces.filter: {error}"));
        }
        if !(0.0..=1.0).contains(&self.traces.sample_ratio) {
            problems.push(format!("telemetry.traces.sample_ratio is {}: it must be from 0 to 1", self.traces.sample_ratio));
        }
        if self.traces.endpoint.as_deref().is_some_and(|it| !it.starts_with("http://") && !it.starts_with("https://")) {
            problems.push("telemetry.traces.endpoint must begin with http:// or https://".to_owned());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_and_each_mistake_is_named() {
        assert!(Settings::default().problems().is_empty());
        let wrong = Settings {
            level: "loud".to_owned(),
            traces: TraceSettings {
                endpoint: Some("collector:4317".to_owned()),
                sample_ratio: 7.0,
                filter: "a=b=c".to_owned(),
                ..TraceSettings::default()
            },
            ..Settings::default()
        };
        let problems = wrong.problems();
        for (problem, key) in problems.iter().zip(["level", "traces.filter", "traces.sample_ratio", "traces.endpoint"]) {
            assert!(problem.starts_with(&format!("telemetry.{key}")), "{problem}");
        }
        assert_eq!(problems.len(), 4);
    }
}
