//! How time and memory grow with the picture.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use shared::picture::Picture;
use shared::session::Session;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::report::three;
use crate::runs::plot::{self, Panel};
use crate::runs::table::columns;
use crate::superres::evaluate::enlarge;

/// One picture enlarged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Point {
    /// The network's name.
    pub name: String,
    /// Side of the picture in pixels.
    pub side: usize,
    /// Side of the tiles in pixels, halo included.
    pub tile: usize,
    /// How many there were.
    pub tiles: usize,
    /// From the picture to the enlarged picture, both in memory.
    pub seconds: f64,
    /// The most resident memory of the process.
    pub peak_bytes: u64,
    /// What of it the picture and the enlarged picture are.
    pub picture_bytes: u64,
}

/// Enlarges a made-up picture of `side` x `side` pixels. The peak is that of the whole process, so a process that did the same
/// before with a larger picture would not do.
///
/// # Errors
/// The engine's own, or when the operating system does not tell the memory.
pub fn measure(name: &str, session: &Session, side: usize, tile: usize, mut progress: impl FnMut(usize, usize)) -> Result<Point> {
    let pixel = |i: usize| {
        let (x, y) = (i % side, i / side);
        [(x * 37 + y * 11) as u8, (x * y) as u8, (x / 8 + y / 5) as u8, 255]
    };
    let picture = Picture::from_rgba8(side, side, (0..side * side).flat_map(pixel).collect())?;
    let watch = Watch::start()?;
    let began = Instant::now();
    let mut tiles = 0;
    let result = enlarge(session, &picture, tile, |done, all| {
        tiles = all;
        progress(done, all);
        Ok(())
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let peak_bytes = watch.peak()?;
    let picture_bytes = 3 * (side * side + result.width() * result.height()) as u64;
    Ok(Point { name: name.to_owned(), side, tile, tiles, seconds, peak_bytes, picture_bytes })
}

/// Looks at the memory of this process until it is asked for the peak.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl Watch {
    fn start() -> Result<Self> {
        /// A tile takes longer, and the look takes 0.1 ms.
        const INTERVAL: Duration = Duration::from_millis(10);
        let mut system = System::new()?;
        let own = Pid::from_u32(std::process::id());
        let mut resident = move || {
            let what = ProcessRefreshKind::nothing().with_memory().without_tasks();
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), true, what);
            system.process(own).map_or(0, sysinfo::Process::memory)
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut peak = 0;
            loop {
                // Read before the look, so that the last one comes after the end.
                let last = stopped.load(Ordering::Relaxed);
                peak = peak.max(resident());
                if last {
                    return peak;
                }
                thread::park_timeout(INTERVAL);
            }
        });
        Ok(Self { stop, thread })
    }

    fn peak(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let peak = self.thread.join().map_err(|_| anyhow!("the memory could not be watched"))?;
        ensure!(peak > 0, "the operating system does not tell this process's memory");
        Ok(peak)
    }
}

impl Point {
    fn megapixels(&self) -> f64 {
        (self.side * self.side) as f64 / 1e6
    }

    /// Microseconds for a pixel of the picture.
    pub fn us_per_pixel(&self) -> f64 {
        self.seconds / self.megapixels()
    }

    /// Megabytes in all, and without the pictures.
    fn megabytes(&self) -> [f64; 2] {
        [self.peak_bytes, self.peak_bytes.saturating_sub(self.picture_bytes)].map(|bytes| bytes as f64 / 1e6)
    }
}

/// A table for people and for Markdown.
pub fn table(points: &[Point]) -> String {
    let head = ["| network", "| picture", "| tiles", "| s", "| us a pixel", "| peak MB", "| without pictures |"];
    let rule = ["|---", "|---", "|---", "|---", "|---", "|---", "|---|"];
    let mut rows = [head, rule].map(|row| row.map(str::to_owned).to_vec()).to_vec();
    for point in points {
        let [all, rest] = point.megabytes().map(|mb| format!("{mb:.0}"));
        let Point { name, side, tile, tiles, .. } = point;
        rows.push(vec![
            format!("| {name}"),
            format!("| {side}x{side}"),
            format!("| {tiles} of {tile}"),
            format!("| {}", three(point.seconds)),
            format!("| {}", three(point.us_per_pixel())),
            format!("| {all}"),
            format!("| {rest} |"),
        ]);
    }
    columns(&rows)
}

/// Time and memory by the side of the picture, on logarithmic axes, where a straight line is a power.
pub fn panels(points: &[Point]) -> Result<Vec<Panel>> {
    let mut names: Vec<&str> = points.iter().map(|point| point.name.as_str()).collect();
    names.dedup();
    let line = |label: String, name: &str, y: &dyn Fn(&Point) -> f64| {
        let of = points.iter().filter(|point| point.name == name);
        (label, of.map(|point| (point.side as f64, y(point).max(1e-3))).collect::<Vec<_>>())
    };
    let time = names.iter().map(|name| line((*name).to_owned(), name, &|point| point.seconds)).collect();
    let memory = names.iter().flat_map(|name| {
        let all = line(name.to_string(), name, &|point| point.megabytes()[0]);
        [all, line(format!("{name}, without the two pictures"), name, &|point| point.megabytes()[1])]
    });
    let label = "side of the picture, in pixels";
    Ok(vec![
        plot::lines("seconds", label, [true, true], time)?,
        plot::lines("peak memory, in MB", label, [true, true], memory.collect())?,
    ])
}
