//! A small web server for a folder, on this computer only.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

/// Browsers open six connections to a host.
const THREADS: usize = 6;

/// Ports tried from the wanted one on.
const PORTS: u16 = 20;

/// A server that answers until it is dropped.
pub struct Site {
    http: Arc<Server>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Site {
    /// Serves the files below `root` on 127.0.0.1: on `port`, or the next free one; 0 takes any.
    ///
    /// # Errors
    /// When `root` is not a folder, or no port is free.
    pub fn start(root: &Path, port: u16) -> Result<Self> {
        let root = root.canonicalize().with_context(|| format!("cannot serve {}", root.display()))?;
        let http = Arc::new(bind(port)?);
        let address = http.server_addr().to_ip().ok_or_else(|| anyhow!("the server has no address"))?;
        let thread = |_| {
            let (http, root) = (Arc::clone(&http), root.clone());
            // `recv` fails when the server is unblocked, and only then.
            thread::spawn(move || {
                while let Ok(request) = http.recv() {
                    respond(&root, request)
                }
            })
        };
        Ok(Self { threads: (0..THREADS).map(thread).collect(), http, address })
    }

    /// The address of the page.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serves until the process ends.
    pub fn wait(mut self) {
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for _ in &self.threads {
            self.http.unblock();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn bind(port: u16) -> Result<Server> {
    let last = if port == 0 { 0 } else { port.saturating_add(PORTS) };
    let mut error = None;
    for port in port..=last {
        match Server::http((Ipv4Addr::LOCALHOST, port)) {
            Ok(server) => return Ok(server),
            Err(e) => error = Some(e),
        }
    }
    let reason = error.map_or_else(String::new, |e| format!(": {e}"));
    Err(anyhow!("no free port from {port} to {last} on 127.0.0.1{reason}"))
}

fn respond(root: &Path, request: Request) {
    let answer = match request.method() {
        Method::Get | Method::Head => open(root, request.url()),
        _ => Err(405),
    };
    // A browser that goes away in the middle is no error of ours.
    let _ = match answer {
        Ok((file, kind)) => request.respond(with(Response::from_file(file), &[("Content-Type", kind)])),
        Err(status) => {
            let text = Response::from_string(StatusCode(status).default_reason_phrase()).with_status_code(status);
            request.respond(with(text, if status == 405 { &[("Allow", "GET, HEAD")] } else { &[] }))
        }
    };
}

/// The file and the media type that a request's target asks for, or the status of the refusal.
fn open(root: &Path, target: &str) -> Result<(fs::File, &'static str), u16> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut file = resolve(root, path).ok_or(404_u16)?;
    if file.is_dir() {
        file.push("index.html");
    }
    let opened = fs::File::open(&file).map_err(|e| if e.kind() == io::ErrorKind::NotFound { 404_u16 } else { 403 })?;
    Ok((opened, media_type(&file)))
}

/// `path` below `root`; `None` when it is not there or would lead out of it, also by `..`, encoded or by a link.
fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let path = percent_decode(path)?;
    let mut file = root.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if part == "." || part == ".." || part.contains(['\\', ':', '\0']) {
            return None;
        }
        file.push(part);
    }
    let file = file.canonicalize().ok()?;
    file.starts_with(root).then_some(file)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

/// Browsers compile wasm while it arrives only under its own type, and refuse module scripts under a wrong one.
fn media_type(file: &Path) -> &'static str {
    match file.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "md" | "txt" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        _ => "application/octet-stream",
    }
}

fn with<R: io::Read>(mut response: Response<R>, headers: &[(&str, &str)]) -> Response<R> {
    // A rebuilt page must not meet its own old half.
    let always = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
    for (name, value) in always.iter().chain(headers) {
        if let Ok(header) = Header::from_bytes(name.as_bytes(), value.as_bytes()) {
            response.add_header(header);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert!(page.contains("Content-Type: text/html; charset=utf-8") && page.contains("Cache-Control: no-store"), "{page}");
        let wasm = ask(&site, "GET", "/a%20b.wasm");
        assert!(wasm.contains("Content-Type: application/wasm") && wasm.ends_with("\0asm"), "{wasm}");
        let head = ask(&site, "HEAD", "/index.html");
        assert!(head.starts_with("HTTP/1.1 200") && !head.contains("hello"), "{head}");
    }

    #[test]
    fn nothing_outside_the_folder_is_served() {
        let folder = folder();
        let root = folder.path().join("root");
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("secret.txt"), root.join("link.txt")).unwrap();
        let site = Site::start(&root, 0).unwrap();
        let absolute = format!("/{}", folder.path().join("secret.txt").display());
        let targets = [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/models/..%2f..%2fsecret.txt",
            "/..\\secret.txt",
            "/link.txt",
            "/%",
            &absolute,
        ];
        for target in targets {
            let answer = ask(&site, "GET", target);
            assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("secret"), "{target}: {answer}");
        }
        let post = ask(&site, "POST", "/index.html");
        assert!(post.starts_with("HTTP/1.1 405") && post.contains("Allow: GET, HEAD"), "{post}");
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let folder = folder();
        let root = folder.path().join("root");
        let first = Site::start(&root, 0).unwrap();
        let second = Site::start(&root, first.address.port()).unwrap();
        assert_ne!(first.address.port(), second.address.port());
    }
}
