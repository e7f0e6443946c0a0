use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use clap::Args;
use shared::checkpoint::Checkpoint;
use shared::imresize::{Side, scaled};
use shared::picture::{Format, Picture};
use shared::pipeline::restyle::{Look, restyle};
use shared::session::{Engine, Session};
use tracing::info;

use crate::commands::progress_bar;
use crate::commands::train::ObjectiveArgs;
use crate::data::folder;
use crate::device::Choice;
use crate::runs::{page, sheet, write_atomically};
use crate::style::adain::styles::complete;
use crate::style::config::StylePicture;
use crate::style::gatys::{Mover, Optimisation, Start};
use crate::style::judge::{Judge, Statistics, number};
use crate::style::pictures::{GAP, filled, picture, tensor, white};

const EXAMPLES: &str = "Example:
  trainer ladder style --weights web/models/style.safetensors --judge vgg.safetensors --data BSDS500/val --count 3 \\
    --style great_wave=wave.jpg --style starry_night=night.jpg --content-layer relu3_1 --content-weight 1.5 --style-weight 15";

/// The weight of the style where none is given, as in `train style`.
const STYLE_WEIGHT: f64 = 10.0;

/// Redraws photos by a network at once and by L-BFGS in so many steps, and compares their losses as Johnson et al. 2016
/// (arXiv:1603.08155) do: there it starts from noise. Writes a page with a table and sheets of the pictures.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Style {
    /// The network's weights.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The network that judges, a safetensors file.
    #[arg(long, value_name = "FILE")]
    judge: PathBuf,
    /// A style of the network and the picture that has it; may be given again.
    #[arg(long, value_name = "NAME=FILE", required = true)]
    style: Vec<StylePicture>,
    /// Shorter side of the style pictures.
    #[arg(long, default_value_t = 320)]
    style_size: usize,
    /// Photos that the network has not seen.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The first so many of them.
    #[arg(long, default_value_t = 3)]
    count: usize,
    /// Of each photo the square in the middle, so many pixels wide.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(32..=2048))]
    size: u32,
    /// Steps of L-BFGS.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    steps: u64,
    /// Where L-BFGS starts.
    #[arg(long, value_enum, default_value = "noise")]
    start: Start,
    #[command(flatten)]
    objective: ObjectiveArgs,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// The page is kept in runs/NAME.
    #[arg(long, default_value = "ladder-style")]
    name: String,
}

/// Sums over the photos of one style.
#[derive(Default)]
struct Row {
    before: f64,
    network: f64,
    optimised: f64,
    /// Steps of L-BFGS that end below the network; all of them where none does.
    steps: u64,
}

impl Style {
    pub fn run(self) -> Result<()> {
        let objective = self.objective.objective(Vec::new(), STYLE_WEIGHT);
        objective.validate()?;
        let device = self.device.open()?;
        let engine = Engine::Candle(device.clone());
        let checkpoint = complete(&Checkpoint::read(&self.weights)?, &self.style, self.style_size, &engine)?;
        let session = Session::new(&checkpoint, engine)?;
        let judge = Judge::open(&self.judge, objective, &device)?;
        let size = self.size as usize;
        let photos = folder::find(&self.data)?.into_iter().take(self.count);
        let photos = photos.map(|path| filled(&folder::read(&path)?, size, size)).collect::<Result<Vec<_>>>()?;
        ensure!(!photos.is_empty(), "no photo: --count is {}", self.count);

        let root = Path::new("runs").join(&self.name);
        std::fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        let bar = progress_bar("{elapsed_precise} {wide_bar} {pos}/{len} {msg} ({eta} left)");
        bar.set_length((self.style.len() * photos.len()) as u64 * self.steps);
        let mut rows = Vec::new();
        // In columns: the style, then every photo by the network; the same by L-BFGS.
        let mut columns = [vec![white(size)?], vec![white(size)?]];
        columns.iter_mut().for_each(|column| column.extend(photos.iter().cloned()));
        for StylePicture { name, picture: file } in &self.style {
            bar.set_message(name.clone());
            let painting = folder::read(file)?;
            let wanted = judge.style(&tensor(&scaled(&painting, Side::Shorter(self.style_size))?, &device)?)?;
            let look = Look::new(&checkpoint.metadata.styles, &[(name.clone(), 1.0)], 1.0)?;
            let thumbnail = filled(&painting, size, size)?;
            columns.iter_mut().for_each(|column| column.push(thumbnail.clone()));
            let mut row = Row::default();
            for photo in &photos {
                let redrawn = pollster::block_on(restyle(&session, photo, &look))?;
                let optimised = self.compare(&judge, photo, &redrawn, &wanted, &mut row, &device, || bar.inc(1))?;
                columns[0].push(redrawn);
                columns[1].push(optimised);
            }
            rows.push((name.as_str(), row));
        }
        bar.finish_and_clear();
        let table = table(&rows, photos.len(), self.steps);
        let [network, optimised] = columns.map(|column| rows_of(&column, photos.len() + 1));
        let (network, optimised) = (network?, optimised?);
        write_atomically(&root.join("sheet.png"), &network.encode(Format::Png)?)?;
        write_atomically(&root.join("table.md"), table.as_bytes())?;
        write_atomically(&root.join("report.html"), report(&network, &optimised, &table, self.steps)?.as_bytes())?;
        info!("{}", root.join("report.html").display());
        Ok(())
    }

    /// Adds what a photo says to `row`; what L-BFGS makes of it.
    #[expect(clippy::too_many_arguments, reason = "all of them are one comparison")]
    fn compare(
        &self,
        judge: &Judge,
        photo: &Picture,
        redrawn: &Picture,
        wanted: &Statistics,
        row: &mut Row,
        device: &Device,
        progress: impl Fn(),
    ) -> Result<Picture> {
        let content = tensor(photo, device)?;
        let seen = judge.content(&content)?;
        let loss = |x: &Tensor| -> Result<f64> { Ok(number(&judge.losses(x, &seen, wanted)?.total)?) };
        row.before += loss(&content)?;
        let network = loss(&tensor(redrawn, device)?)?;
        row.network += network;
        let rate = Mover::Lbfgs.usual_rate();
        let start = self.start.pixels(&content, 0)?;
        let mut optimisation = Optimisation::new(judge, &content, wanted.clone(), &start, Mover::Lbfgs, rate)?;
        let mut steps = self.steps;
        for step in 0..self.steps {
            if optimisation.step()?.loss <= network {
                steps = steps.min(step);
            }
            progress();
        }
        row.steps += steps;
        let optimised = optimisation.picture()?;
        row.optimised += loss(&optimised)?;
        picture(&optimised)
    }
}

/// A sheet whose rows are what `columns` of this height hold side by side.
fn rows_of(columns: &[Picture], height: usize) -> Result<Picture> {
    let width = columns.len() / height;
    let pictures: Vec<&Picture> = (0..height).flat_map(|y| (0..width).map(move |x| &columns[x * height + y])).collect();
    sheet(&pictures, width, GAP)
}

/// In Markdown.
fn table(rows: &[(&str, Row)], photos: usize, steps: u64) -> String {
    let mut text = format!(
        "| | loss of the photo | of the network | of {steps} steps of L-BFGS | network / L-BFGS | steps that come as far |\n\
         |---|---|---|---|---|---|\n"
    );
    let part = 1.0 / photos.max(1) as f64;
    for (name, Row { before, network, optimised, steps }) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{name}` | {:.2} | {:.3} | {:.3} | {:.2} | {:.0} |",
            before * part,
            network * part,
            optimised * part,
            network / optimised.max(1e-12),
            *steps as f64 * part
        );
    }
    text
}

fn report(network: &Picture, optimised: &Picture, table: &str, steps: u64) -> Result<String> {
    let figure = |picture: &Picture, title: &str| -> Result<String> {
        Ok(format!("<figure class=\"card\">{}<figcaption>{title}</figcaption></figure>\n", page::image(picture, title)?))
    };
    let body = format!(
        "<h1>At once, and step by step</h1>\n<p class=\"muted\">Losses are relative: 1 is a picture that has nothing of what is wanted; \
         weighed and added.</p>\n<pre class=\"card\">{}</pre>\n<h2>Pictures</h2>\n{}{}",
        page::escaped(table),
        figure(network, "By the network")?,
        figure(optimised, &format!("By {steps} steps of L-BFGS"))?
    );
    Ok(page::html("At once, and step by step", &body))
}
