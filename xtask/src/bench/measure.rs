//! One headless browser, and a fresh page in it for every measurement.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use xtask::browser::{Browser, Driver};

use super::case::{Case, Runtime};
use super::memory::Watch;
use super::report::{Agreement, Measured};
use super::server::{Message, Server};
use super::site;

/// The longest that a page may take. TensorFlow.js needs a minute to the first output of `style 64` on a software adapter.
const PATIENCE: Duration = Duration::from_secs(300);

/// Before a page is opened, so that what the last one left is gone from the memory.
const REST: Duration = Duration::from_millis(500);

/// How often a network runs.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Warm runs at most.
    pub runs: usize,
    /// Seconds after which no more are begun, once there are three.
    pub seconds: u64,
    /// Threads for WebAssembly.
    pub threads: usize,
}

/// The browser.
pub struct Laboratory {
    driver: Driver,
    browser: Browser,
}

/// What a page found.
#[derive(Deserialize)]
#[serde(untagged)]
enum Report {
    Failed { error: String },
    Ran { first: f64, times: Vec<f64> },
}

/// The GPU, as a browser tells of it.
#[derive(Deserialize)]
pub struct Adapter {
    vendor: String,
    architecture: String,
    description: String,
    software: Option<bool>,
}

impl Adapter {
    /// For people.
    pub fn name(&self) -> String {
        let words = [&self.vendor, &self.architecture, &self.description].map(String::as_str);
        let name = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        if name.is_empty() { "unnamed".to_owned() } else { name }
    }

    /// Whether it is a program on the CPU.
    pub fn software(&self) -> bool {
        self.software == Some(true) || self.architecture == "swiftshader" || self.description.contains("llvmpipe")
    }
}

impl Laboratory {
    /// Opens the browser.
    ///
    /// # Errors
    /// When chromedriver or Chromium do not start.
    pub async fn open() -> Result<Self> {
        let driver = Driver::start()?;
        let browser = driver.browser().await?;
        Ok(Self { driver, browser })
    }

    /// Its version.
    pub fn browser(&self) -> String {
        self.browser.version()
    }

    /// Its GPU, if it has one.
    ///
    /// # Errors
    /// When the page does not answer.
    pub async fn adapter(&self, site: &Path) -> Result<Option<Adapter>> {
        #[derive(Deserialize)]
        struct Answer {
            adapter: Option<Adapter>,
            error: Option<String>,
        }
        let mut server = Server::start(site)?;
        self.browser.open(&format!("{}?adapter", server.url())).await?;
        let asked = tokio::time::timeout(PATIENCE, server.message()).await.context("the page says nothing of its GPU")??;
        let Message::Report(report) = asked else { bail!("the page sent an output before its GPU") };
        let answer: Answer = serde_json::from_slice(&report)?;
        match answer.error {
            Some(error) => bail!("the browser does not tell its GPU: {error}"),
            None => Ok(answer.adapter),
        }
    }

    /// Measures a case; returns its output beside.
    ///
    /// # Errors
    /// When the runtime fails or is not done in time.
    pub async fn measure(&self, site: &Path, case: &Case, effort: Effort) -> Result<(Measured, Vec<f32>)> {
        let mut server = Server::start(site)?;
        self.browser.fresh_tab().await?;
        tokio::time::sleep(REST).await;
        let [checkpoint, onnx] = site::files(&case.network);
        let weights = if case.runtime == Runtime::Atelier { checkpoint } else { onnx };
        let url = format!(
            "{}?runtime={}&backend={}&network={weights}&size={}&runs={}&seconds={}&threads={}",
            server.url(),
            case.runtime.name(),
            case.backend.name(),
            case.size,
            effort.runs,
            effort.seconds,
            effort.threads
        );
        let watch = Watch::start(self.driver.process())?;
        self.browser.open(&url).await?;
        let (mut output, mut memory) = (None, None);
        let mut watch = Some(watch);
        let answer = async {
            loop {
                match server.message().await? {
                    // Up to here all have done the same. Afterwards it would be how late a browser frees the outputs of so many
                    // runs: Atelier's x4-fast rose from 63 to 132 MB in 1000 of them, and stayed there for the next 7000.
                    Message::Output(bytes) => {
                        memory = watch.take().map(Watch::rise).transpose()?;
                        output = Some(bytes);
                    }
                    Message::Report(report) => return anyhow::Ok(report),
                }
            }
        };
        let report = match tokio::time::timeout(PATIENCE, answer).await {
            Ok(report) => report?,
            Err(_) => bail!("no result within {} s", PATIENCE.as_secs()),
        };
        let (first_ms, times_ms) = match serde_json::from_slice(&report).context("the page's report cannot be read")? {
            Report::Failed { error } => bail!("{error}"),
            Report::Ran { first, times } => (first, times),
        };
        ensure!(!times_ms.is_empty(), "no warm run");
        let (output, memory) = output.zip(memory).context("the page sent no output")?;
        let values = output.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok((Measured { first_ms, times_ms, download: server.download()?, memory, agreement: Agreement::Alone }, values))
    }
}
