use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use shared::picture::Picture;
use tracing::info;

use crate::commands::progress_bar;
use crate::commands::train::Goal;
use crate::runs::{page, plot, write_atomically};
use crate::style::gatys::{Mover, Optimisation, Point};
use crate::style::judge::Statistic;
use crate::style::pictures::picture;

const EXAMPLES: &str = "Example:
  trainer ladder gatys --judge vgg.safetensors --content photo.jpg --style wave.jpg --size 256 --steps 100";

/// Redraws one picture with L-BFGS, and with SGD, without and with momentum, and Adam in three times as many steps; and with L-BFGS by
/// the whole Gram matrix, by its diagonal, and by means and deviations. Writes a page with the pictures, the losses and a table.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Gatys {
    #[command(flatten)]
    goal: Goal,
    /// Steps of L-BFGS.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    steps: u64,
    /// The page is kept in runs/NAME.
    #[arg(long, default_value = "ladder-gatys")]
    name: String,
}

/// First-order methods get so many times the steps.
const PATIENCE: u64 = 3;

/// One way to the picture, and where it led.
struct Rung {
    title: String,
    /// The loss is the one that all are compared by only where the whole Gram matrix is matched.
    statistic: Statistic,
    points: Vec<Point>,
    result: Picture,
    seconds: f64,
}

impl Gatys {
    pub fn run(self) -> Result<()> {
        let ways = [
            ("L-BFGS".to_owned(), Mover::Lbfgs, Statistic::Full, self.steps),
            ("SGD".to_owned(), Mover::Sgd, Statistic::Full, PATIENCE * self.steps),
            ("SGD, momentum 0.9".to_owned(), Mover::Momentum, Statistic::Full, PATIENCE * self.steps),
            ("Adam".to_owned(), Mover::Adam, Statistic::Full, PATIENCE * self.steps),
            ("L-BFGS, diagonal of the Gram matrix".to_owned(), Mover::Lbfgs, Statistic::Diagonal, self.steps),
            ("L-BFGS, means and deviations".to_owned(), Mover::Lbfgs, Statistic::Stats, self.steps),
        ];
        let root = Path::new("runs").join(&self.name);
        std::fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        let bar = progress_bar("{elapsed_precise} {wide_bar} {pos}/{len} {msg} ({eta} left)");
        bar.set_length(ways.iter().map(|(.., steps)| steps).sum());
        let (mut judge, pictures, device) = self.goal.open()?;
        let size = self.goal.sizes.last().copied().unwrap_or(256) as usize;
        let mut rungs = Vec::new();
        for (title, mover, statistic, steps) in ways {
            bar.set_message(title.clone());
            judge = judge.matching(statistic);
            let (content, style) = pictures.at(&judge, size, &device)?;
            let began = Instant::now();
            let mut optimisation = Optimisation::new(&judge, &content, style, &content, mover, mover.usual_rate())?;
            let step = |_| optimisation.step().inspect(|_| bar.inc(1));
            let points = (0..steps).map(step).collect::<Result<Vec<_>>>()?;
            let result = picture(&optimisation.picture()?)?;
            rungs.push(Rung { title, statistic, points, result, seconds: began.elapsed().as_secs_f64() });
        }
        bar.finish_and_clear();
        write_atomically(&root.join("report.html"), self.report(&rungs)?.as_bytes())?;
        write_atomically(&root.join("table.md"), table(&rungs).as_bytes())?;
        info!("{}", root.join("report.html").display());
        Ok(())
    }

    fn report(&self, rungs: &[Rung]) -> Result<String> {
        let mut body = String::from("<h1>One picture, several ways</h1>\n");
        let name = |path: &Path| page::escaped(&path.file_name().unwrap_or_default().to_string_lossy());
        let styles: Vec<String> = self.goal.style.iter().map(|(path, _)| name(path)).collect();
        writeln!(
            body,
            "<p class=\"muted\">{} in the style of {}. Losses are relative: 1 is a picture that has nothing of what is wanted.</p>",
            name(&self.goal.content),
            styles.join(", ")
        )?;
        let compared = rungs.iter().filter(|rung| rung.statistic == Statistic::Full);
        let line = |rung: &Rung, x: fn(&Point) -> u64| -> (String, Vec<(f64, f64)>) {
            (rung.title.clone(), rung.points.iter().map(|p| (x(p) as f64 + 1.0, p.loss)).collect())
        };
        let by_step = compared.clone().map(|rung| line(rung, |p| p.step)).collect();
        let by_work = compared.map(|rung| line(rung, |p| p.evaluations)).collect();
        writeln!(body, "<h2>Losses</h2>\n<div class=\"grid curves\">")?;
        for panel in [
            plot::lines("loss, by step", "step", [true, true], by_step)?,
            plot::lines("loss, by evaluations of loss and gradient", "evaluations", [true, true], by_work)?,
        ] {
            body.push_str(&page::curves(&panel)?);
        }
        writeln!(body, "</div>\n<h2>Pictures</h2>\n<div class=\"grid curves\">")?;
        for rung in rungs {
            let title = page::escaped(&rung.title);
            let steps = rung.points.len();
            writeln!(
                body,
                "<figure class=\"card\">{}<figcaption>{title}, {steps} steps</figcaption></figure>",
                page::image(&rung.result, &title)?
            )?;
        }
        writeln!(body, "</div>\n<h2>Table</h2>\n<pre class=\"card\">{}</pre>", page::escaped(&table(rungs)))?;
        Ok(page::html("One picture, several ways", &body))
    }
}

/// In Markdown.
fn table(rungs: &[Rung]) -> String {
    let mut text =
        "| | steps | evaluations | first loss | last loss | content | style | seconds |\n|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for rung in rungs {
        let (Some(first), Some(last)) = (rung.points.first(), rung.points.last()) else { continue };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.3} | {:.4} | {:.3} | {:.5} | {:.0} |",
            rung.title,
            last.step + 1,
            last.evaluations,
            first.loss,
            last.loss,
            last.content,
            last.style,
            rung.seconds
        );
    }
    text
}
