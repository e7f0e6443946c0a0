//! `trainer data`: downloads from a server that cuts, changes and lies; archives that reach outside; statistics.
#![allow(clippy::unwrap_used)] // In a test, a panic is how it fails.

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use shared::picture::{Format, Picture};
use trainer::data::checksum::Checksum;
use trainer::data::fetch::{Download, fetch};
use trainer::data::sets::{Archive, Set};
use trainer::data::statistics::Statistics;
use trainer::data::unpack::{Packing, unpack};

/// The head of a request: only what the tests look at.
#[derive(Debug, Clone, Default)]
struct Request {
    path: String,
    range: Option<usize>,
    if_range: Option<String>,
}

/// An answer. `sent` bytes of the body are sent, then the connection ends.
struct Reply {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    sent: usize,
}

impl Reply {
    fn new(status: &'static str, headers: String, body: &[u8]) -> Self {
        Self { status, headers, body: body.to_vec(), sent: body.len() }
    }

    /// All of the file.
    fn whole(body: &[u8], etag: &str) -> Self {
        Self::new("200 OK", format!("ETag: {etag}\r\n"), body)
    }

    /// What was asked for, as a server does that knows ranges.
    fn ranged(request: &Request, body: &[u8], etag: &str) -> Self {
        match request.range {
            Some(start) if request.if_range.as_deref().is_none_or(|held| held == etag) => {
                let headers = format!("ETag: {etag}\r\nContent-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
                Self::new("206 Partial Content", headers, &body[start..])
            }
            _ => Self::whole(body, etag),
        }
    }

    fn cut(self, sent: usize) -> Self {
        Self { sent, ..self }
    }
}

/// A server on this machine.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `reply` gets the number of the request, from zero, and the request.
    fn new(reply: impl Fn(usize, &Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let stream = stream.unwrap();
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
                let mut request = Request { path, ..Request::default() };
                for line in lines {
                    match line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)) {
                        Some((name, value)) if name == "range" => {
                            request.range = value.trim_start_matches("bytes=").trim_end_matches('-').parse().ok();
                        }
                        Some((name, value)) if name == "if-range" => request.if_range = Some(value.to_owned()),
                        _ => {}
                    }
                }
                log.lock().unwrap().push(request.clone());
                let Reply { status, headers, body, sent } = reply(number, &request);
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
                // The client may have gone: that is its right.
                let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body[..sent]));
            }
        });
        Self { address, requests }
    }

    fn url(&self, name: &str) -> &'static str {
        leak(format!("http://{}/{name}", self.address))
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn sha256(bytes: &[u8]) -> Checksum {
    Checksum::Sha256(leak(Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()))
}

/// An empty folder below the build's.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("data").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn body() -> Vec<u8> {
    (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn known(server: &Server, body: &[u8]) -> Download {
    Download { url: server.url("file.bin"), bytes: Some(body.len() as u64), checksum: Some(sha256(body)) }
}

fn get(download: &Download, to: &Path) -> Result<(), String> {
    fetch(download, to, &ProgressBar::hidden()).map_err(|e| format!("{e:#}"))
}

/// All that lies in the folder of `file`, by name.
fn beside(file: &Path) -> Vec<String> {
    let names = fs::read_dir(file.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_file_is_fetched_once() {
    let to = folder("once").join("file.bin");
    let server = Server::new(|_, request| Reply::ranged(request, &body(), "\"a\""));
    let download = known(&server, &body());
    get(&download, &to).unwrap();
    get(&download, &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), body());
    assert_eq!(beside(&to), ["file.bin"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let to = folder("cut").join("file.bin");
    let server = Server::new(|number, request| match number {
        0 => Reply::ranged(request, &body(), "\"a\"").cut(70_000),
        1 => Reply::ranged(request, &body(), "\"a\"").cut(50_000),
        // The program ends here; a new one goes on.
        2 => Reply::new("403 Forbidden", String::new(), b""),
        _ => Reply::ranged(request, &body(), "\"a\""),
    });
    // Without a size and a checksum, the ETag alone tells that it is the same file.
    let download = Download { url: server.url("file.bin"), bytes: None, checksum: None };
    let e = get(&download, &to).unwrap_err();
    assert!(e.contains("403") && e.contains(download.url), "{e}");
    assert!(!to.exists());
    get(&download, &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), body());
    let ranges: Vec<_> = server.requests().iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, Some(70_000), Some(120_000), Some(120_000)]);
    assert_eq!(server.requests()[3].if_range.as_deref(), Some("\"a\""));
    assert_eq!(beside(&to), ["file.bin"]);
}

#[test]
fn a_server_without_ranges_sends_it_all_again() {
    let to = folder("ranges").join("file.bin");
    let server = Server::new(|number, _| Reply::whole(&body(), "\"a\"").cut(if number == 0 { 70_000 } else { 200_000 }));
    get(&known(&server, &body()), &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), body());
    assert_eq!(server.requests()[1].range, Some(70_000));
}

#[test]
fn a_file_that_changed_in_between_is_fetched_anew() {
    let to = folder("changed").join("file.bin");
    let changed: Vec<u8> = body().iter().rev().copied().collect();
    let after = changed.clone();
    let server = Server::new(move |number, request| match number {
        0 => Reply::ranged(request, &body(), "\"a\"").cut(70_000),
        _ => Reply::ranged(request, &after, "\"b\""),
    });
    get(&Download { checksum: None, ..known(&server, &body()) }, &to).unwrap();
    assert!(fs::read(&to).unwrap() == changed);
}

#[test]
fn what_is_not_as_published_is_refused_and_deleted() {
    let to = folder("corrupt").join("file.bin");
    let mut corrupt = body();
    corrupt[100_000] ^= 1;
    let sent = corrupt.clone();
    let server = Server::new(move |_, request| Reply::ranged(request, &sent, "\"a\""));
    let download = known(&server, &body());
    let e = get(&download, &to).unwrap_err();
    let both = [sha256(&body()).to_string(), sha256(&corrupt).to_string()];
    assert!(e.contains(download.url) && both.iter().all(|checksum| e.contains(checksum)), "{e}");
    assert!(beside(&to).is_empty());

    let md5 = Checksum::Md5("00000000000000000000000000000000");
    let e = get(&Download { checksum: Some(md5), ..download }, &to).unwrap_err();
    assert!(e.contains("md5:"), "{e}");

    // Another size is seen before the bytes come.
    let e = get(&Download { bytes: Some(200_001), ..download }, &to).unwrap_err();
    assert!(e.contains("200000") && e.contains("200001"), "{e}");
    assert!(beside(&to).is_empty());

    // A file that was damaged on the disk is replaced.
    let right = Server::new(|_, request| Reply::ranged(request, &body(), "\"a\""));
    fs::write(&to, &corrupt).unwrap();
    get(&known(&right, &body()), &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), body());
}

#[test]
fn a_missing_file_and_a_folder_that_cannot_be_are_named() {
    let folder = folder("missing");
    let server = Server::new(|_, _| Reply::new("404 Not Found", String::new(), b"a page that explains"));
    let download = known(&server, &body());
    let e = get(&download, &folder.join("file.bin")).unwrap_err();
    assert!(e.contains("404") && e.contains(download.url), "{e}");
    assert!(fs::read_dir(&folder).unwrap().next().is_none());
    // Permissions do not stop the superuser, who may run this; a file in the folder's place stops everyone.
    fs::write(folder.join("file"), b"").unwrap();
    let e = get(&download, &folder.join("file/deeper/file.bin")).unwrap_err();
    assert!(e.contains(folder.join("file/deeper").to_str().unwrap()), "{e}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Names are written as they are: the library refuses bad ones.
fn tar_gz(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn nothing_is_unpacked_outside_the_folder() {
    use tar::EntryType::{Regular, Symlink};
    let folder = folder("evil");
    let into = folder.join("into");
    let cut = zip(&[("good", &body())]);
    let archives = [
        (Packing::Zip, zip(&[("good", b"1"), ("../evil", b"2")]), "../evil"),
        (Packing::Zip, zip(&[("/evil", b"2")]), "/evil"),
        (Packing::TarGz, tar_gz(&[("good", Regular, b"1"), ("a/../../evil", Regular, b"2")]), "../evil"),
        (Packing::TarGz, tar_gz(&[("link", Symlink, b"")]), "link"),
        (Packing::TarGz, b"no archive".to_vec(), "archive"),
        (Packing::Gz, gzip(&body())[..1000].to_vec(), "archive"),
        (Packing::Zip, cut[..cut.len() / 2].to_vec(), "archive"),
    ];
    for (packing, bytes, named) in archives {
        let archive = folder.join("archive.x");
        fs::write(&archive, bytes).unwrap();
        fs::create_dir_all(&into).unwrap();
        let e = format!("{:#}", unpack(&archive, packing, &into, &ProgressBar::hidden()).unwrap_err());
        assert!(e.contains(named) && e.contains("archive.x"), "{e}");
        assert_eq!(beside(&archive), ["archive.x", "into"]);
        fs::remove_dir_all(&into).unwrap();
    }
}

fn set(archives: Vec<(Packing, Download)>, by_hand: Option<&'static str>) -> Set {
    let archives: Vec<_> = archives.into_iter().map(|(packing, download)| Archive { packing, download }).collect();
    Set { name: "toy", about: "a toy", licence: "none", home: "http://toy", archives: archives.leak(), by_hand }
}

#[test]
fn a_set_is_whole_or_not_there() {
    let root = folder("set");
    let tar = tar_gz(&[("deep/a.txt", tar::EntryType::Regular, b"from the tar")]);
    let gz = gzip(b"from the gz");
    let (first, changed) = (tar.clone(), zip(&[("b.txt", b"later")]));
    let server = Server::new(move |number, request| match request.path.as_str() {
        "/a.tar.gz" => Reply::whole(&first, "\"a\""),
        "/b.txt.gz" if number == 1 => Reply::new("404 Not Found", String::new(), b""),
        "/b.txt.gz" => Reply::whole(&gz, "\"b\""),
        _ => Reply::whole(&changed, "\"c\""),
    });
    let a = Download { url: server.url("a.tar.gz"), bytes: None, checksum: Some(sha256(&tar)) };
    let b = Download { url: server.url("b.txt.gz"), bytes: None, checksum: None };
    let toy = set(vec![(Packing::TarGz, a), (Packing::Gz, b)], None);
    let get = |toy: &Set| toy.get(&root, &ProgressBar::hidden()).map_err(|e| format!("{e:#}"));

    assert!(get(&toy).unwrap_err().contains("404"));
    assert!(!toy.is_whole(&root).unwrap());
    let found = get(&toy).unwrap();
    assert_eq!(fs::read_to_string(found.join("deep/a.txt")).unwrap(), "from the tar");
    assert_eq!(fs::read_to_string(found.join("b.txt")).unwrap(), "from the gz");
    get(&toy).unwrap();
    assert_eq!(server.requests().len(), 3, "a.tar.gz once, b.txt.gz twice: nothing that is there is asked for");
    let record = fs::read_to_string(root.join("toy.json")).unwrap();
    assert!(record.contains(&sha256(&tar).to_string()) && record.contains(&sha256(&gzip(b"from the gz")).to_string()));

    // Another version of the set does not take the place of one that is there.
    let c = Download { url: server.url("c.zip"), bytes: None, checksum: None };
    let later = set(vec![(Packing::Zip, c)], None);
    assert!(get(&later).unwrap_err().contains("not this version"));
    fs::remove_dir_all(&found).unwrap();
    assert_eq!(fs::read_to_string(get(&later).unwrap().join("b.txt")).unwrap(), "later");
}

#[test]
fn a_set_to_fetch_by_hand_says_how_and_is_then_checked() {
    let root = folder("hand");
    let bytes = zip(&[("masks/1.txt", b"1")]);
    let checksum = Some(sha256(&bytes));
    let toy = set(vec![(Packing::Zip, Download { url: "http://toy/data?select=t.zip", bytes: None, checksum })], Some("Ask."));
    let get = || toy.get(&root, &ProgressBar::hidden()).map_err(|e| format!("{e:#}"));
    let e = get().unwrap_err();
    let downloads = root.join("downloads/toy");
    assert!(e.contains("Ask.") && e.contains("select=t.zip") && e.contains(downloads.to_str().unwrap()), "{e}");
    fs::write(downloads.join("t.zip"), b"something else").unwrap();
    assert!(get().unwrap_err().contains("t.zip"));
    fs::write(downloads.join("t.zip"), &bytes).unwrap();
    assert_eq!(fs::read_to_string(get().unwrap().join("masks/1.txt")).unwrap(), "1");
    assert!(downloads.join("t.zip").exists(), "what a person fetched is theirs");
}

fn trainer(args: &[&str], root: &Path) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.args(args).env("RUST_LOG", "info").env("NO_COLOR", "1").env("ATELIER_DATA", root);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_line_lists_and_explains() {
    let root = folder("cli");
    for args in [&["data"][..], &["data", "list"]] {
        let (fine, out, err) = trainer(args, &root);
        assert!(fine && out.contains("cifar10: ") && out.contains("CC BY 2.0") && out.contains("3.7"), "{out}{err}");
    }
    for args in [&["data", "carvana"][..], &["data", "get", "carvana"]] {
        let (fine, _, err) = trainer(args, &root);
        assert!(
            !fine && err.contains("licence: ") && err.contains("train_masks.zip") && err.contains("accept its rules"),
            "{err}"
        );
    }
    let (fine, _, err) = trainer(&["data", "cifar"], &root);
    assert!(!fine && err.contains("cifar10"), "{err}");
}

#[test]
fn statistics_are_exact_and_name_what_is_broken() {
    let folder = folder("statistics");
    let picture = |width: usize, height: usize, pixel: fn(usize) -> [u8; 3]| {
        let rgba = (0..width * height).flat_map(|i| pixel(i).into_iter().chain([255])).collect();
        Picture::from_rgba8(width, height, rgba).unwrap().encode(Format::Png).unwrap()
    };
    // Red is 0 or 1, half each; green is 0.2 everywhere; blue is 0 in three quarters of the pixels and 1 in the others.
    fs::create_dir_all(folder.join("deeper")).unwrap();
    fs::write(folder.join("a.png"), picture(10, 100, |i| [255 * (i % 2) as u8, 51, 0])).unwrap();
    fs::write(folder.join("deeper/b.png"), picture(20, 50, |i| [255 * (i % 2) as u8, 51, 255 * (i / 10 % 2) as u8])).unwrap();
    fs::write(folder.join("broken.jpg"), b"\xff\xd8\xff\xe0 and no more").unwrap();
    fs::write(folder.join("short.bin"), b"no record").unwrap();

    let statistics = Statistics::of(std::slice::from_ref(&folder), &ProgressBar::hidden()).unwrap();
    for (found, right) in statistics.mean.iter().zip([0.5, 0.2, 0.25]) {
        assert!((found - right).abs() < 1e-15, "mean {found}");
    }
    for (found, right) in statistics.std.iter().zip([0.5, 0.0, 0.1875_f64.sqrt()]) {
        assert!((found - right).abs() < 1e-15, "std {found}");
    }
    assert_eq!((statistics.pictures, statistics.pixels), (2, 2000));
    assert_eq!([statistics.width.min, statistics.width.median, statistics.width.max], [10, 10, 20]);
    assert_eq!([statistics.height.min, statistics.height.max], [50, 100]);
    assert!(statistics.broken[0].contains("broken.jpg") && statistics.broken[1].contains("short.bin"), "{statistics:?}");

    let (fine, out, err) = trainer(&["data", "stats", "--json", folder.to_str().unwrap()], &folder);
    assert!(fine && out.contains("\"pixels\":2000") && err.contains("broken.jpg"), "{out}{err}");
    let (fine, _, err) = trainer(&["data", "stats", folder.join("nowhere").to_str().unwrap()], &folder);
    assert!(!fine && err.contains("nowhere"), "{err}");
}

/// The same pictures in CIFAR-10's binary version and in a `.jpgpack`, where JPEG is exact: grey squares.
#[test]
fn packed_files_are_read() {
    let folder = folder("packed");
    let (mut binary, mut pack) = (Vec::new(), b"JPK1\x02\0\0\0".to_vec());
    for grey in [51, 204] {
        binary.push(7);
        binary.extend([grey; 3072]);
        let picture = Picture::from_rgba8(32, 32, [grey, grey, grey, 255].repeat(1024)).unwrap();
        let jpeg = picture.encode(Format::Jpeg { quality: 100 }).unwrap();
        pack.push(7);
        pack.extend((jpeg.len() as u16).to_le_bytes());
        pack.extend(jpeg);
    }
    fs::write(folder.join("a.bin"), binary).unwrap();
    fs::write(folder.join("b.jpgpack"), &pack).unwrap();
    for name in ["a.bin", "b.jpgpack"] {
        let statistics = Statistics::of(&[folder.join(name)], &ProgressBar::hidden()).unwrap();
        assert_eq!((statistics.pictures, statistics.width.max), (2, 32));
        assert!(statistics.mean.iter().all(|v| (v - 0.5).abs() < 1e-12), "{name}: {statistics:?}");
        assert!(statistics.std.iter().all(|v| (v - 0.3).abs() < 1e-12), "{name}: {statistics:?}");
    }
    fs::write(folder.join("b.jpgpack"), &pack[..pack.len() - 1]).unwrap();
    let e = Statistics::of(&[folder.join("b.jpgpack")], &ProgressBar::hidden()).unwrap_err().to_string();
    assert!(e.contains("b.jpgpack") && e.contains("too early"), "{e}");
}
