//! The built page in a real browser, as a person uses it.
#![cfg(not(target_arch = "wasm32"))]

mod enlarge;
mod restyle;
mod translate;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::browser::{Browser, Driver};
use xtask::serve::Site;

/// A copy of the built page, which a test may damage.
fn copy_of_the_page() -> Result<tempfile::TempDir> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/dist");
    ensure!(dist.join("index.html").exists(), "web/dist is not built; run cargo xtask test");
    let copy = tempfile::tempdir()?;
    copy_folder(&dist, copy.path())?;
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The page and a browser for it.
struct Visit {
    folder: tempfile::TempDir,
    site: Site,
    driver: Driver,
}

impl Visit {
    fn new() -> Result<Self> {
        let folder = copy_of_the_page()?;
        Ok(Self { site: Site::start(folder.path(), 0)?, folder, driver: Driver::start()? })
    }

    /// A browser with the page in it, at an address that ends with `rest`.
    async fn browser(&self, rest: &str) -> Result<Browser> {
        let browser = self.driver.browser().await?;
        browser.open(&format!("{}{rest}", self.site.url())).await?;
        browser.until("document.querySelector('#pair option') !== null", 60).await?;
        Ok(browser)
    }

    fn weights(&self, model: &Value) -> Result<PathBuf> {
        let file = model["file"].as_str().context("a model without a file")?;
        Ok(self.folder.path().join("models").join(file))
    }
}

/// Nothing was fetched from elsewhere, and neither the page nor the browser complains.
async fn is_clean(browser: &Browser) -> Result<()> {
    let foreign = browser
        .value("performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin) && !n.startsWith('blob:' + location.origin))")
        .await?;
    ensure!(foreign.as_array().is_some_and(Vec::is_empty), "requests to elsewhere: {foreign}");
    let own = browser.value("performance.getEntriesByType('resource').length").await?;
    ensure!(own.as_u64() > Some(2), "only {own} requests were seen");
    let log = browser.log().await?;
    let bad: Vec<_> = log.iter().filter(|line| line.starts_with("SEVERE") || line.contains("Content Security Policy")).collect();
    ensure!(bad.is_empty(), "the console: {bad:#?}");
    Ok(())
}

/// The text of an element.
async fn text(browser: &Browser, id: &str) -> Result<String> {
    let text = browser.value(&format!("document.getElementById('{id}').textContent")).await?;
    Ok(text.as_str().unwrap_or_default().to_owned())
}
