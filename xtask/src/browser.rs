//! Headless Chromium, driven through chromedriver.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// The longest that chromedriver may take for a command; it never gives up by itself.
const PATIENCE: Duration = Duration::from_secs(60);

async fn patiently<T, E: Into<anyhow::Error>>(what: &str, command: impl Future<Output = Result<T, E>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, command).await {
        Ok(outcome) => outcome.map_err(Into::into).with_context(|| what.to_owned()),
        Err(_) => bail!("{what}: chromedriver does not answer"),
    }
}

/// A chromedriver of its own; it and its browsers end when this is dropped.
pub struct Driver {
    child: Child,
    url: String,
    /// What a browser remembers between two visits.
    profile: tempfile::TempDir,
}

impl Driver {
    /// Starts chromedriver (`CHROMEDRIVER`, or the one on PATH) on a free port.
    ///
    /// # Errors
    /// When there is none, or it says something else than its port.
    pub fn start() -> Result<Self> {
        let program = std::env::var_os("CHROMEDRIVER").unwrap_or_else(|| OsString::from("chromedriver"));
        let mut command = Command::new(&program);
        command.args(["--port=0", "--log-level=WARNING"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}; `cargo xtask test` installs it", program.display()))?;
        let output = child.stdout.take().context("chromedriver has no output")?;
        // "ChromeDriver was started successfully on port 41234."
        let port = BufReader::new(output).lines().map_while(Result::ok).find_map(|line| {
            let port = line.split_once("successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let Some(port) = port else {
            let _ = child.kill();
            bail!("chromedriver did not say on which port it listens");
        };
        Ok(Self { child, url: format!("http://127.0.0.1:{port}"), profile: tempfile::tempdir()? })
    }

    /// The process whose descendants the browsers are.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Opens a browser. The next one finds what this one kept.
    ///
    /// # Errors
    /// When Chromium does not start.
    pub async fn browser(&self) -> Result<Browser> {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let args = [
            "--headless=new",
            // CI runs as root, where the sandbox does not start; the page is our own.
            "--no-sandbox",
            "--enable-unsafe-webgpu",
            "--window-size=1200,900",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // A test picture that moves, where a page asks for a camera; and it is allowed to.
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            // Only this machine can be reached: whatever the page wants elsewhere fails, and Chromium logs it.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            &profile,
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object, just above") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = patiently("start Chromium", builder.capabilities(capabilities).connect(&self.url)).await?;
        Ok(Browser { client, profile: self.profile.path().to_owned() })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked first, so that it takes its browsers with it.
        #[cfg(unix)]
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().is_ok_and(|s| s.success());
        #[cfg(not(unix))]
        let asked = false;
        if !asked {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// A browser with one page.
pub struct Browser {
    client: Client,
    profile: PathBuf,
}

impl Browser {
    /// Opens an address.
    ///
    /// # Errors
    /// The browser's.
    pub async fn open(&self, url: &str) -> Result<()> {
        patiently(url, self.client.goto(url)).await
    }

    /// Goes on in a new tab and closes the one before: what that one loaded and allocated goes with it.
    ///
    /// # Errors
    /// The browser's.
    pub async fn fresh_tab(&self) -> Result<()> {
        let tab = patiently("open a tab", self.client.new_window(true)).await?;
        patiently("close a tab", self.client.close_window()).await?;
        patiently("go to the new tab", self.client.switch_to_window(tab.handle)).await
    }

    /// What it is, e.g. `chrome 156.0.8078.108`.
    pub fn version(&self) -> String {
        let capability = |name| self.client.capabilities()?.get(name)?.as_str().map(str::to_owned);
        [capability("browserName"), capability("browserVersion")].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The value of a JavaScript expression.
    ///
    /// # Errors
    /// When it throws.
    pub async fn value(&self, expression: &str) -> Result<Value> {
        patiently(expression, self.client.execute(&format!("return {expression}"), vec![])).await
    }

    /// Waits until a JavaScript expression is true.
    ///
    /// # Errors
    /// When it is not after `seconds`; the message has the page's text.
    pub async fn until(&self, expression: &str, seconds: u64) -> Result<()> {
        let waited = tokio::time::timeout(Duration::from_secs(seconds), async {
            while self.value(expression).await? != Value::Bool(true) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        });
        match waited.await {
            Ok(outcome) => outcome,
            Err(_) => {
                let text = self.value("document.body.innerText").await.unwrap_or_default();
                let log = self.log().await.unwrap_or_default();
                Err(anyhow!("not within {seconds} s: {expression}\nthe page: {text}\nits console: {log:#?}"))
            }
        }
    }

    /// Clicks the element that a CSS selector names.
    ///
    /// # Errors
    /// When there is none, or it cannot be clicked.
    pub async fn click(&self, css: &str) -> Result<()> {
        let element = patiently(css, self.client.find(Locator::Css(css))).await?;
        patiently(&format!("click {css}"), element.click()).await
    }

    /// Gives a file to an `<input type="file">`.
    ///
    /// # Errors
    /// When it is none.
    pub async fn choose_file(&self, css: &str, name: &str, content: &[u8]) -> Result<()> {
        let path: PathBuf = Path::new(&self.profile).join(name);
        std::fs::write(&path, content)?;
        let input = patiently(css, self.client.find(Locator::Css(css))).await?;
        patiently(&format!("choose {name}"), input.send_keys(&path.to_string_lossy())).await
    }

    /// What the console said since the last call, with what the browser complains about: failed requests, violations of the
    /// content security policy.
    ///
    /// # Errors
    /// The browser's.
    pub async fn log(&self) -> Result<Vec<String>> {
        let command = Vendor { path: "se/log", body: json!({ "type": "browser" }) };
        let entries = patiently("read the log", self.client.issue_cmd(command)).await?;
        let line =
            |entry: &Value| format!("{}: {}", entry["level"].as_str().unwrap_or(""), entry["message"].as_str().unwrap_or(""));
        Ok(entries.as_array().map(|all| all.iter().map(line).collect()).unwrap_or_default())
    }

    /// Ends the process that has the GPU for all pages, as a driver that crashes does. The browser starts another.
    ///
    /// # Errors
    /// The browser's.
    pub async fn crash_gpu(&self) -> Result<()> {
        let command = Vendor { path: "goog/cdp/execute", body: json!({ "cmd": "Browser.crashGpuProcess", "params": {} }) };
        patiently("crash the GPU process", self.client.issue_cmd(command)).await.map(drop)
    }

    /// Closes the browser, so that its profile is free.
    ///
    /// # Errors
    /// The browser's.
    pub async fn close(self) -> Result<()> {
        patiently("close Chromium", self.client.close()).await
    }
}

/// A command that is chromedriver's own.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
