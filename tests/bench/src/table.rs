//! The table that all of this is for.

use std::fmt::Write as _;

use crate::stats::{Spread, short};

/// One line: a figure beside the limit that was measured in the same run.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) row: &'static str,
    pub(crate) job: String,
    pub(crate) measured: String,
    pub(crate) limit: String,
    pub(crate) ratio: Option<Spread>,
    pub(crate) target: Target,
    pub(crate) verdict: Verdict,
}

/// What is asked of a line's figure: its ratio, or what was measured where there is none.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
    /// Shown to explain another line.
    None,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The oracle complained: there is no figure.
    Void(String),
    Shown,
}

impl Target {
    pub(crate) fn judge(&self, figure: f64) -> Verdict {
        let met = match self {
            Self::AtMost(most, _) => figure <= *most,
            Self::AtLeast(least, _) => figure >= *least,
            Self::None => return Verdict::Shown,
        };
        if met { Verdict::Met } else { Verdict::Missed }
    }

    fn text(&self) -> String {
        match self {
            Self::AtMost(most, unit) => format!("≤ {}{unit}", short(*most)),
            Self::AtLeast(least, unit) => format!("≥ {}{unit}", short(*least)),
            Self::None => String::new(),
        }
    }
}

impl Line {
    /// Judged by the median of its rounds' ratios.
    pub(crate) fn ratio(row: &'static str, job: impl Into<String>, measured: String, limit: String, ratio: Spread, target: Target) -> Self {
        let verdict = target.judge(ratio.median);
        Self { row, job: job.into(), measured, limit, ratio: Some(ratio), target, verdict }
    }

    /// Judged by the figure itself.
    pub(crate) fn figure(row: &'static str, job: impl Into<String>, figure: f64, measured: String, limit: String, target: Target) -> Self {
        let verdict = target.judge(figure);
        Self { row, job: job.into(), measured, limit, ratio: None, target, verdict }
    }

    pub(crate) fn void(row: &'static str, job: impl Into<String>, why: impl Into<String>) -> Self {
        let (measured, limit) = (String::new(), String::new());
        Self { row, job: job.into(), measured, limit, ratio: None, target: Target::None, verdict: Verdict::Void(why.into()) }
    }
}

/// As Markdown, which is also readable on a terminal.
pub(crate) fn render(lines: &[Line], about: &[String]) -> String {
    let mut text = String::from("| row | job | measured | limit, same run | ratio | target | met |\n|---|---|---|---|---|---|---|\n");
    for line in lines {
        let met = match &line.verdict {
            Verdict::Met => "yes".to_owned(),
            Verdict::Missed => "**no**".to_owned(),
            Verdict::Void(why) => format!("void: {why}"),
            Verdict::Shown => String::new(),
        };
        let ratio = line.ratio.map(|it| it.to_string()).unwrap_or_default();
        let Line { row, job, measured, limit, target, .. } = line;
        writeln!(text, "| {row} | {job} | {measured} | {limit} | {ratio} | {} | {met} |", target.text()).expect("a string takes all");
    }
    text.push('\n');
    for line in about {
        text.push_str(line);
        text.push_str("\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_judged_by_its_median_and_a_void_one_has_no_figure() {
        let ratio = Spread { median: 1.4, min: 1.2, max: 1.9 };
        let line = Line::ratio("1", "door", "28 µs".into(), "20 µs".into(), ratio, Target::AtMost(1.5, "x"));
        assert_eq!(line.verdict, Verdict::Met);
        let text = render(&[line, Line::void("6", "mapper", "3 records are missing")], &[]);
        assert!(text.contains("| 1 | door | 28 µs | 20 µs | 1.40 [1.20–1.90] | ≤ 1.50x | yes |"), "{text}");
        assert!(text.contains("| 6 | mapper |  |  |  |  | void: 3 records are missing |"), "{text}");
    }

    #[test]
    fn targets_have_a_side() {
        assert_eq!(Target::AtLeast(0.95, "").judge(0.94), Verdict::Missed);
        assert_eq!(Target::AtMost(40.0, " MB").judge(40.0), Verdict::Met);
        assert_eq!(Target::None.judge(1.0), Verdict::Shown);
    }
}
