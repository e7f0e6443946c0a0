//! A small web server for a folder, on this computer only.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow, ensure};
use axum::Router;
use axum::http::{HeaderValue, header};
use tokio::sync::oneshot;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

/// Ports tried from the wanted one on.
const PORTS: u16 = 20;

/// A server that answers until it is dropped.
pub struct Site {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    /// Serves the files below `root` on 127.0.0.1: on `port`, or the next free one; 0 takes any.
    ///
    /// # Errors
    /// When `root` is not a folder, or no port is free.
    pub fn start(root: &Path, port: u16) -> Result<Self> {
        ensure!(root.is_dir(), "cannot serve {}: no such folder", root.display());
        Self::answer(Router::new().fallback_service(ServeDir::new(root)), port)
    }

    /// Answers requests with `router`, as [`Site::start`] does.
    ///
    /// # Errors
    /// When no port is free.
    pub fn answer(router: Router, port: u16) -> Result<Self> {
        let listener = bind(port)?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        // A rebuilt page must not meet its own old half.
        let uncached = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let typed = SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let router = router.layer(uncached).layer(typed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = async move {
            let served = async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await };
            tokio::select! {
                outcome = served => if let Err(error) = outcome { eprintln!("The server ended: {error}") },
                _ = stopped => {} // also when the site is dropped
            }
        };
        let thread = thread::spawn(move || runtime.block_on(serve));
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The address of the page.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serves until the process ends.
    pub fn wait(mut self) {
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.join();
    }
}

fn bind(port: u16) -> Result<TcpListener> {
    let last = if port == 0 { 0 } else { port.saturating_add(PORTS) };
    let mut error = None;
    for port in port..=last {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(listener),
            Err(e) => error = Some(e),
        }
    }
    let free = || anyhow!("no free port from {port} to {last} on 127.0.0.1");
    Err(error.map_or_else(free, |e| anyhow::Error::from(e).context(free())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn folder() -> tempfile::TempDir {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("models")).unwrap();
        fs::write(root.join("index.html"), "<p>hello").unwrap();
        fs::write(root.join("a b.wasm"), "\0asm").unwrap();
        fs::write(outside.path().join("secret.txt"), "secret").unwrap();
        outside
    }

    /// Sends a request as it stands, without a client that would tidy it, and returns the answer.
    fn ask(site: &Site, method: &str, target: &str) -> String {
        let mut stream = TcpStream::connect(site.address).unwrap();
        write!(stream, "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn files_come_with_their_type_and_uncached() {
        let folder = folder();
        let site = Site::start(&folder.path().join("root"), 0).unwrap();
        let page = ask(&site, "GET", "/?engine=cpu");
        assert!(page.starts_with("HTTP/1.1 200") && page.ends_with("<p>hello"), "{page}");
        assert!(page.contains("content-type: text/html") && page.contains("cache-control: no-store"), "{page}");
        // Browsers compile wasm while it arrives only under its own type.
        let wasm = ask(&site, "GET", "/a%20b.wasm");
        assert!(wasm.contains("content-type: application/wasm") && wasm.ends_with("\0asm"), "{wasm}");
        let head = ask(&site, "HEAD", "/index.html");
        assert!(head.starts_with("HTTP/1.1 200") && !head.contains("hello"), "{head}");
    }

    #[test]
    fn nothing_outside_the_folder_is_served() {
        let folder = folder();
        let root = folder.path().join("root");
        let site = Site::start(&root, 0).unwrap();
        let absolute = format!("/{}", folder.path().join("secret.txt").display());
        let targets =
            ["/../secret.txt", "/%2e%2e/secret.txt", "/models/..%2f..%2fsecret.txt", "/..\\secret.txt", "/%", &absolute];
        for target in targets {
            let answer = ask(&site, "GET", target);
            assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("secret"), "{target}: {answer}");
        }
        let post = ask(&site, "POST", "/index.html");
        assert!(post.starts_with("HTTP/1.1 405") && post.contains("allow: GET,HEAD"), "{post}");
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let folder = folder();
        let root = folder.path().join("root");
        let first = Site::start(&root, 0).unwrap();
        let second = Site::start(&root, first.address.port()).unwrap();
        assert_ne!(first.address.port(), second.address.port());
    }

    /// Browsers hold connections open, and open some ahead without a request; the server that was here before stalled on them.
    #[test]
    fn idle_connections_stop_nobody() {
        let folder = folder();
        let site = Site::start(&folder.path().join("root"), 0).unwrap();
        let idle: Vec<_> = (0..50).map(|_| TcpStream::connect(site.address).unwrap()).collect();
        assert!(ask(&site, "GET", "/").ends_with("<p>hello"));
        drop(idle);
    }
}
