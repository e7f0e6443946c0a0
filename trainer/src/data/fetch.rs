//! Downloads that go on after a cut, and are what their publisher says they are.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use indicatif::ProgressBar;
use tracing::warn;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::checksum::Checksum;
use crate::runs::write_atomically;

/// How often in a row a download may fail without a new byte. Each wait is twice the one before.
const RETRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// A server that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Some servers refuse what does not look like a browser.
const USER_AGENT: &str = concat!("Mozilla/5.0 (compatible; atelier/", env!("CARGO_PKG_VERSION"), ")");

/// A file on a server and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Download {
    /// http or https.
    pub url: &'static str,
    /// Its size.
    pub bytes: Option<u64>,
    /// Its published checksum.
    pub checksum: Option<Checksum>,
}

impl Download {
    /// The file's name: the last part of the URL.
    pub fn name(&self) -> &'static str {
        self.url.rsplit(['/', '=']).next().unwrap_or(self.url)
    }

    /// Compares a file with what is known.
    ///
    /// # Errors
    /// Names the file, what was expected and what was found.
    pub fn check(&self, path: &Path) -> Result<()> {
        let length = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
        if let Some(bytes) = self.bytes.filter(|bytes| *bytes != length) {
            bail!("{}: it has {length} bytes, {bytes} are expected", path.display());
        }
        self.checksum.map_or(Ok(()), |checksum| checksum.check(path))
    }
}

/// Downloads a file to `to`, which afterwards is whole and checked. Until then it is `to` with `.part` at its end, where a later
/// call goes on. A file that is there and passes the check is not asked for. Proxies are taken from the environment.
///
/// # Errors
/// When the server refuses or stays away, when what it sends is not what is expected (that is deleted), or when a file cannot be
/// written.
pub fn fetch(download: &Download, to: &Path, bar: &ProgressBar) -> Result<()> {
    if to.exists() {
        match download.check(to) {
            Ok(()) => return Ok(()),
            Err(e) => warn!("{e:#}\nfetching it anew"),
        }
        remove(to)?;
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let part = Part::of(to);
    let agent: Agent = Agent::config_builder()
        .user_agent(USER_AGENT)
        .http_status_as_error(false)
        .timeout_connect(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .build()
        .into();
    let (mut furthest, mut failures) = (part.length(), 0);
    loop {
        let fault = match part.go_on(&agent, download, bar) {
            Ok(()) => break,
            Err(fault) => fault,
        };
        failures = if part.length() > furthest { 1 } else { failures + 1 };
        furthest = furthest.max(part.length());
        match fault {
            Fault::Passing(e) if failures <= RETRIES => warn!("{e:#}; trying again"),
            Fault::Passing(e) if part.length() > 0 => {
                return Err(e.context(format!("{}: not whole yet; the same command goes on from there", part.path.display())));
            }
            Fault::Passing(e) | Fault::Final(e) => return Err(e),
        }
        std::thread::sleep(FIRST_WAIT * 2_u32.pow(failures - 1));
    }
    if let Err(e) = download.check(&part.path) {
        part.discard()?;
        return Err(e.context(format!("{}: what came is not what was published; it is deleted", download.url)));
    }
    fs::rename(&part.path, to).with_context(|| format!("cannot write {}", to.display()))?;
    part.discard()
}

/// Why a download stopped.
enum Fault {
    /// It may work the next time.
    Passing(Error),
    /// It will not.
    Final(Error),
}

fn passing(e: Error) -> Fault {
    Fault::Passing(e)
}

fn fatal(e: Error) -> Fault {
    Fault::Final(e)
}

/// What has come so far.
struct Part {
    path: PathBuf,
    /// Which version of the file it is a part of: the server's ETag or date.
    version: PathBuf,
}

impl Part {
    fn of(to: &Path) -> Self {
        let with = |ending: &str| {
            let mut path = to.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        Self { path: with(".part"), version: with(".part.version") }
    }

    fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |m| m.len())
    }

    fn discard(&self) -> Result<()> {
        remove(&self.path)?;
        remove(&self.version)
    }

    /// One request, from where the part ends.
    fn go_on(&self, agent: &Agent, download: &Download, bar: &ProgressBar) -> Result<(), Fault> {
        let version = fs::read_to_string(&self.version).ok();
        // Without either, nothing would tell when the file on the server is another one by now.
        let held = if version.is_some() || download.checksum.is_some() { self.length() } else { 0 };
        if held > 0 && Some(held) == download.bytes {
            return Ok(());
        }
        let mut request = agent.get(download.url);
        if held > 0 {
            request = request.header(header::RANGE, format!("bytes={held}-"));
            if let Some(version) = version {
                request = request.header(header::IF_RANGE, version);
            }
        }
        let response = request.call().map_err(|e| unreachable(download.url, e))?;
        let answer = Answer::of(&response);
        let start = match (response.status(), answer.range) {
            (StatusCode::OK, _) => 0,
            (StatusCode::PARTIAL_CONTENT, Some(start)) if start == held => held,
            (StatusCode::RANGE_NOT_SATISFIABLE, _) if held > 0 && answer.total == Some(held) => return Ok(()),
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) if held > 0 => {
                self.discard().map_err(fatal)?;
                return Err(passing(anyhow!("{}: the server does not go on at byte {held}", download.url)));
            }
            (status, _) => {
                let e = anyhow!("{}: the server answers {status}", download.url);
                let busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
                return Err(if busy || status.is_server_error() { passing(e) } else { fatal(e) });
            }
        };
        if let (Some(total), Some(bytes)) = (answer.total, download.bytes)
            && total != bytes
        {
            return Err(fatal(anyhow!("{}: the server's file has {total} bytes, {bytes} are expected", download.url)));
        }
        if start == 0 {
            self.discard().map_err(fatal)?;
            if let Some(version) = answer.version {
                write_atomically(&self.version, version.as_bytes()).map_err(fatal)?;
            }
        }
        self.append(response, download, start, answer.total.or(download.bytes), bar)
    }

    fn append(
        &self,
        response: Response<Body>,
        download: &Download,
        start: u64,
        total: Option<u64>,
        bar: &ProgressBar,
    ) -> Result<(), Fault> {
        let unwritable = |e: std::io::Error| fatal(Error::new(e).context(format!("cannot write {}", self.path.display())));
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).map_err(unwritable)?;
        bar.set_position(start);
        if let Some(total) = total {
            bar.set_length(total);
        }
        let mut body = response.into_body().into_reader();
        let (mut at, mut buffer) = (start, vec![0; 1 << 16]);
        let cut = |at: u64, why: &str| {
            let of = total.map_or(String::new(), |total| format!(" of {total}"));
            passing(anyhow!("{}: cut after {at}{of} bytes{why}", download.url))
        };
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(cut(at, &format!(" ({e})"))),
            };
            file.write_all(&buffer[..count]).map_err(unwritable)?;
            at += count as u64;
            bar.set_position(at);
            if let Some(total) = total.filter(|total| at > *total) {
                self.discard().map_err(fatal)?;
                return Err(fatal(anyhow!("{}: the server sends more than the {total} bytes expected", download.url)));
            }
        }
        if total.is_some_and(|total| at < total) {
            return Err(cut(at, ""));
        }
        file.sync_all().map_err(unwritable)
    }
}

/// What the head of an answer says.
struct Answer {
    /// Where the bytes that it brings begin.
    range: Option<u64>,
    /// Bytes of the whole file.
    total: Option<u64>,
    /// For If-Range: a strong ETag, or the date.
    version: Option<String>,
}

impl Answer {
    fn of(response: &Response<Body>) -> Self {
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let version = text(header::ETAG).filter(|tag| !tag.starts_with("W/")).or_else(|| text(header::LAST_MODIFIED));
        let version = version.map(str::to_owned);
        // `bytes 100-199/200`, or `bytes */200`.
        match text(header::CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes ")?.split_once('/')) {
            Some((range, total)) => {
                let range = range.split_once('-').and_then(|(first, _)| first.parse().ok());
                Self { range, total: total.parse().ok(), version }
            }
            None => Self { range: None, total: text(header::CONTENT_LENGTH).and_then(|n| n.parse().ok()), version },
        }
    }
}

fn unreachable(url: &str, e: ureq::Error) -> Fault {
    use ureq::Error::{ConnectionFailed, HostNotFound, Io, Protocol, Timeout};
    let may_pass = matches!(e, Io(_) | Timeout(_) | HostNotFound | ConnectionFailed | Protocol(_));
    let e = Error::new(e).context(format!("cannot fetch {url}"));
    if may_pass { passing(e) } else { fatal(e) }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e).with_context(|| format!("cannot delete {}", path.display())),
        _ => Ok(()),
    }
}
