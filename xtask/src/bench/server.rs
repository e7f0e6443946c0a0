//! What a measured page talks to: files, which are counted, and a place for its results.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::post;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;
use xtask::serve::Site;

/// What a page sends.
pub enum Message {
    /// A network's output, little-endian f32.
    Output(Bytes),
    /// A result, in JSON.
    Report(Bytes),
}

/// The page's own files, which every measurement needs and none is charged for.
const HARNESS: [&str; 3] = ["/", "/index.html", "/page.js"];

/// A server for one measurement. Its port, and so its origin, is new: a browser has nothing of it cached or compiled.
pub struct Server {
    root: PathBuf,
    site: Site,
    sent: Sent,
    messages: UnboundedReceiver<Message>,
}

type Sent = Arc<Mutex<BTreeMap<String, u64>>>;

/// What a page downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Download {
    /// Bytes sent.
    pub bytes: u64,
    /// Bytes, had the server compressed them with gzip.
    pub gzip: u64,
    /// Bytes sent, by file.
    pub files: BTreeMap<String, u64>,
}

impl Server {
    /// Serves the folder `root`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(root: &Path) -> Result<Self> {
        let (sender, messages) = mpsc::unbounded_channel();
        let sent = Sent::default();
        let output = async |State(sender): State<UnboundedSender<Message>>, body: Bytes| {
            // A measurement that was given up listens no more.
            let _ = sender.send(Message::Output(body));
        };
        let report = async |State(sender): State<UnboundedSender<Message>>, body: Bytes| {
            let _ = sender.send(Message::Report(body));
        };
        // Both make the page isolated: it may use threads, and its clock is fine enough.
        let isolated =
            |name, value| SetResponseHeaderLayer::overriding(HeaderName::from_static(name), HeaderValue::from_static(value));
        let router = Router::new()
            .route("/output", post(output))
            .route("/report", post(report))
            .with_state(sender)
            .layer(DefaultBodyLimit::disable())
            .fallback_service(ServeDir::new(root))
            .layer(middleware::from_fn_with_state(sent.clone(), count))
            .layer(isolated("cross-origin-opener-policy", "same-origin"))
            .layer(isolated("cross-origin-embedder-policy", "require-corp"));
        Ok(Self { root: root.to_owned(), site: Site::answer(router, 0)?, sent, messages })
    }

    /// Its address, ending in a slash.
    pub fn url(&self) -> String {
        self.site.url()
    }

    /// The next message of the page.
    ///
    /// # Errors
    /// When the server ended.
    pub async fn message(&mut self) -> Result<Message> {
        self.messages.recv().await.context("the server ended")
    }

    /// What was sent so far, without the page itself.
    ///
    /// # Errors
    /// When a file is gone.
    pub fn download(&self) -> Result<Download> {
        let mut download = Download::default();
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (path, bytes) in sent.into_iter().filter(|(path, _)| !HARNESS.contains(&path.as_str())) {
            let name = path.trim_start_matches('/').to_owned();
            let file = self.root.join(&name);
            let content = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            download.bytes += bytes;
            download.gzip += gzip(&content)?;
            download.files.insert(name, bytes);
        }
        Ok(download)
    }
}

/// Notes what goes out.
async fn count(State(sent): State<Sent>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let get = request.method() == Method::GET;
    let response = next.run(request).await;
    let length = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length
        && get
        && response.status().is_success()
    {
        *sent.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default() += length;
    }
    response
}

/// The length of `content` at gzip's usual level.
fn gzip(content: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content)?;
    Ok(encoder.finish()?.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpStream;

    fn ask(server: &Server, request: &str, body: &[u8]) -> String {
        let url = server.url();
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(stream, "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn downloads_are_counted_and_results_arrive() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "page").unwrap();
        std::fs::write(folder.path().join("worker.js"), "a".repeat(10_000)).unwrap();
        let mut server = Server::start(folder.path()).unwrap();
        for request in ["GET /index.html?size=32", "GET /worker.js", "GET /missing.js", "HEAD /worker.js"] {
            let answer = ask(&server, request, b"");
            assert!(answer.contains("cross-origin-embedder-policy: require-corp"), "{answer}");
        }
        // Larger than what axum takes by default.
        let output = vec![7; 3 << 20];
        ask(&server, "POST /output", &output);
        ask(&server, "POST /report", b"{}");

        let download = server.download().unwrap();
        assert_eq!(download.bytes, 10_000);
        assert!(download.gzip < 1000, "{download:?}");
        assert_eq!(download.files, BTreeMap::from([("worker.js".to_owned(), 10_000)]));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut next = || runtime.block_on(server.message()).unwrap();
        assert!(matches!(next(), Message::Output(bytes) if bytes == output));
        assert!(matches!(next(), Message::Report(bytes) if bytes == "{}"));
    }
}
