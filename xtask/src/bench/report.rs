//! What was measured, as a table for people and as files for programs.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use super::agreement::TOLERANCE;
use super::case::Case;
use super::server::Download;

/// A case and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    #[serde(flatten)]
    pub case: Case,
    /// The result.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a case.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran.
    Measured(Measured),
    /// It did not, and why.
    Failed(String),
}

/// What a page load gave.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// From nothing loaded to the first output, in milliseconds.
    pub first_ms: f64,
    /// The runs after it, from input to output in JavaScript, in milliseconds.
    pub times_ms: Vec<f64>,
    /// Runtime and weights.
    pub download: Download,
    /// By how many bytes the browser's processes grew at most, up to the first output.
    pub memory: u64,
    /// How the output compares with the reference's.
    pub agreement: Agreement,
}

/// How an output compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// Nothing else ran at that size.
    Alone,
    /// The others were compared with it.
    Reference,
    /// The largest difference, relative to the reference's largest value.
    Differs(f64),
    /// Why it cannot be compared.
    Incomparable(String),
}

impl Agreement {
    /// Whether it is within the tolerance.
    pub fn holds(&self) -> bool {
        match self {
            Self::Alone | Self::Reference => true,
            Self::Differs(difference) => *difference <= TOLERANCE,
            Self::Incomparable(_) => false,
        }
    }
}

impl Measured {
    /// The median of the warm runs, in milliseconds.
    pub fn median_ms(&self) -> f64 {
        let mut sorted = self.times_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
        (middle(sorted.len().saturating_sub(1) / 2) + middle(sorted.len() / 2)) / 2.0
    }
}

/// What it was measured on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The browser and its version.
    pub browser: String,
    /// The GPU, as the browser names it.
    pub gpu: String,
    /// Whether that is a program on the CPU.
    pub software: bool,
    /// The processor and its number of threads.
    pub processor: String,
    /// The threads that runtimes were given.
    pub threads: usize,
    /// The versions of what was compared.
    pub runtimes: Vec<String>,
}

const MEMORY: &str = "Memory is the highest sum of the resident memory of all the browser's processes up to the first output, less \
    what they held before the page was opened.";

/// A table in Markdown, with what it was measured on and how.
pub fn markdown(machine: &Machine, rows: &[Row]) -> String {
    let mut text = format!("{}\n\n", machine.sentence());
    text += "| Network | Size | On | Runtime | Warm run | First run | Download | gzip | Memory | Difference |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|\n";
    for Row { case, outcome } in rows {
        let head = format!("| {} | {} | {} | {} |", case.network, case.size, case.backend.name(), case.runtime.title());
        let _ = match outcome {
            Outcome::Failed(why) => writeln!(text, "{head} {} | | | | | |", one_line(why)),
            Outcome::Measured(m) => writeln!(
                text,
                "{head} {} | {} | {} | {} | {} | {} |",
                time(m.median_ms()),
                time(m.first_ms),
                size(m.download.bytes),
                size(m.download.gzip),
                size(m.memory),
                agreement(&m.agreement)
            ),
        };
    }
    let _ = writeln!(
        text,
        "\nA warm run goes from an array of JavaScript to an array of JavaScript; the figure is the median. The first run goes from \
         neither runtime nor weights being there, on a server on the same machine, to the first output. Download is what that \
         server sent, runtime and weights; gzip what it would have sent compressed. {MEMORY} Difference is the largest between an \
         output and the reference, relative to the reference's largest value; {TOLERANCE} is allowed."
    );
    text
}

impl Machine {
    fn sentence(&self) -> String {
        let software = if self.software { ", a program on the CPU" } else { "" };
        format!(
            "{}; {}; {}. WebGPU: {}{software}. WebAssembly: {} thread{}.",
            self.runtimes.join(", "),
            self.browser,
            self.processor,
            self.gpu,
            self.threads,
            if self.threads == 1 { "" } else { "s, Atelier 1" }
        )
    }
}

/// The rows as CSV; times in milliseconds, sizes in bytes.
///
/// # Errors
/// Never with rows that were measured.
pub fn csv(rows: &[Row]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "network",
        "size",
        "backend",
        "runtime",
        "median_ms",
        "first_ms",
        "runs",
        "bytes",
        "gzip_bytes",
        "memory_bytes",
        "difference",
        "error",
    ])?;
    for Row { case, outcome } in rows {
        let mut record =
            vec![case.network.clone(), case.size.to_string(), case.backend.name().to_owned(), case.runtime.name().to_owned()];
        record.extend(match outcome {
            Outcome::Measured(m) => [
                format!("{:.3}", m.median_ms()),
                format!("{:.3}", m.first_ms),
                m.times_ms.len().to_string(),
                m.download.bytes.to_string(),
                m.download.gzip.to_string(),
                m.memory.to_string(),
                match &m.agreement {
                    Agreement::Differs(difference) => format!("{difference:.3e}"),
                    _ => String::new(),
                },
                match &m.agreement {
                    Agreement::Incomparable(why) => one_line(why),
                    _ => String::new(),
                },
            ],
            Outcome::Failed(why) => {
                let mut fields = <[String; 8]>::default();
                fields[7] = one_line(why);
                fields
            }
        });
        writer.write_record(record)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// Everything, as JSON.
///
/// # Errors
/// Never with what was measured.
pub fn json(machine: &Machine, rows: &[Row]) -> Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        machine: &'a Machine,
        tolerance: f64,
        rows: &'a [Row],
    }
    Ok(serde_json::to_string_pretty(&Report { machine, tolerance: TOLERANCE, rows })? + "\n")
}

fn agreement(agreement: &Agreement) -> String {
    match agreement {
        Agreement::Alone => "not compared".to_owned(),
        Agreement::Reference => "reference".to_owned(),
        Agreement::Differs(0.0) => "0".to_owned(),
        Agreement::Differs(difference) if agreement.holds() => format!("{difference:.0e}"),
        Agreement::Differs(difference) => format!("**{difference:.0e}**"),
        Agreement::Incomparable(why) => format!("**{}**", one_line(why)),
    }
}

/// Three digits, for people.
pub fn time(ms: f64) -> String {
    match ms {
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 99.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 9_995.0 => format!("{:.2} s", ms / 1e3),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

fn size(bytes: u64) -> String {
    let mb = bytes as f64 / 1e6;
    if mb < 99.95 { format!("{mb:.1} MB") } else { format!("{mb:.0} MB") }
}

/// Fit for a cell: what failed may say much.
fn one_line(text: &str) -> String {
    const MOST: usize = 160;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/");
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST - 1).chain(['…']).collect() }
}

#[cfg(test)]
pub mod tests {
    use super::super::case::{Backend, Runtime};
    use super::*;

    pub fn row(runtime: Runtime, backend: Backend, times_ms: &[f64]) -> Row {
        let download = Download { bytes: 1_400_000, gzip: 600_000, ..Download::default() };
        let measured = Measured {
            first_ms: 88.3,
            times_ms: times_ms.to_vec(),
            download,
            memory: 123_456_789,
            agreement: Agreement::Differs(2e-7),
        };
        let case = Case { network: "sr".into(), size: 32, runtime, backend };
        Row { case, outcome: Outcome::Measured(measured) }
    }

    fn failed(why: &str) -> Row {
        Row { outcome: Outcome::Failed(why.to_owned()), ..row(Runtime::Tfjs, Backend::Webgpu, &[]) }
    }

    fn machine() -> Machine {
        Machine {
            browser: "chrome 156".into(),
            gpu: "google swiftshader".into(),
            software: true,
            processor: "a processor, 2 threads".into(),
            threads: 1,
            runtimes: vec!["Atelier 0.1.0".into(), "onnxruntime-web 1.30.0".into()],
        }
    }

    #[test]
    fn the_table_has_a_line_a_case_and_says_why_one_failed() {
        let rows = [row(Runtime::Atelier, Backend::Wasm, &[12.0, 8.0, 10.0]), failed("no adapter:\n a | b")];
        let text = markdown(&machine(), &rows);
        assert!(text.contains("WebGPU: google swiftshader, a program on the CPU. WebAssembly: 1 thread."), "{text}");
        let line = "| sr | 32 | wasm | Atelier | 10.0 ms | 88.3 ms | 1.4 MB | 0.6 MB | 123 MB | 2e-7 |";
        assert!(text.lines().any(|l| l == line), "{text}");
        assert!(text.contains("| sr | 32 | webgpu | TensorFlow.js | no adapter: a / b | | | | | |"), "{text}");
        let columns = |line: &str| line.matches('|').count();
        let table: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(table.iter().all(|line| columns(line) == columns(table[0])), "{text}");
    }

    #[test]
    fn csv_and_json_can_be_read_again() {
        let mut wrong = row(Runtime::Ort, Backend::Webgpu, &[1.0, 2.0]);
        if let Outcome::Measured(m) = &mut wrong.outcome {
            m.agreement = Agreement::Incomparable("values, \"not\" finite".into());
        }
        let rows = [row(Runtime::Atelier, Backend::Wasm, &[3.0]), wrong, failed("no, none")];
        let text = csv(&rows).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let records: Vec<std::collections::HashMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
        assert_eq!(records[0]["median_ms"], "3.000");
        assert_eq!(records[0]["memory_bytes"], "123456789");
        assert_eq!(records[1]["error"], "values, \"not\" finite");
        assert_eq!((&records[2]["median_ms"][..], &records[2]["error"][..]), ("", "no, none"));

        let json: serde_json::Value = serde_json::from_str(&json(&machine(), &rows).unwrap()).unwrap();
        assert_eq!(json["rows"][0]["measured"]["times_ms"][0], 3.0);
        assert_eq!(json["rows"][0]["runtime"], "atelier");
        assert_eq!(json["rows"][2]["failed"], "no, none");
    }

    #[test]
    fn a_difference_beyond_the_tolerance_does_not_hold() {
        assert!(Agreement::Differs(0.99e-3).holds() && Agreement::Reference.holds());
        assert!(!Agreement::Differs(1.01e-3).holds() && !Agreement::Differs(f64::NAN).holds());
        assert!(!Agreement::Incomparable(String::new()).holds());
        assert_eq!(agreement(&Agreement::Differs(0.5)), "**5e-1**");
    }

    #[test]
    fn medians_and_times_are_those_of_the_textbook() {
        let median = |times: &[f64]| match row(Runtime::Ort, Backend::Wasm, times).outcome {
            Outcome::Measured(m) => m.median_ms(),
            Outcome::Failed(_) => f64::NAN,
        };
        assert_eq!(median(&[5.0, 1.0, 9.0]), 5.0);
        assert_eq!(median(&[4.0, 1.0, 9.0, 2.0]), 3.0);
        assert!(median(&[]).is_nan());
        let times = [1.234, 9.999, 56.78, 999.6, 12_345.0].map(time);
        assert_eq!(times, ["1.23 ms", "10.0 ms", "56.8 ms", "1.00 s", "12.3 s"]);
    }
}
