//! One part after the other: what each adds to a recurrent network, measured alike.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use shared::checkpoint::Checkpoint;
use shared::models::CellKind;
use shared::text::Tokenizer;
use tracing::info;

use crate::commands::train::network::{CellName, Choice, Kind, Sizes};
use crate::commands::train::settings::TrainingArgs;
use crate::commands::train::translate::{SENTENCES, config};
use crate::commands::train::{How, Recipe, TOKENIZER, learn, listen, read_tokenizer};
use crate::device;
use crate::learner::Length;
use crate::runs::{Record, RunFolder, plot, write_atomically};
use crate::translate::language;

const EXAMPLES: &str = "Example:
  trainer ladder translate --src de --tgt en --data multi30k --steps 2000 --every 400
A ladder that was stopped goes on with the same command; rungs that are finished are not trained again.";

/// Trains a plain recurrent network, the same with one part more at a time, with all of them, from a language model, and a
/// Transformer, on the same data with as many steps, and writes a table and the curves.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Translate {
    /// The language to read, by its code.
    #[arg(long, value_name = "CODE")]
    src: String,
    /// The language to write.
    #[arg(long, value_name = "CODE")]
    tgt: String,
    /// Folders, tables and archives of pairs, as for `train translate`.
    #[arg(long, value_name = "PATH", required = true)]
    data: Vec<PathBuf>,
    /// What the recurrent networks are made of.
    #[arg(long, value_enum, default_value = "gru")]
    cell: CellName,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    training: TrainingArgs,
    /// The runs are kept in runs/NAME [default: ladder-SRC-TGT].
    #[arg(long)]
    name: Option<String>,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: device::Choice,
}

/// The run of the language model.
const LANGUAGE: &str = "language";

/// How the right words give way to the network's own.
const FORCING: [f64; 2] = [1.0, 0.0];

/// The rungs: the folder and the line of the table.
const RUNGS: [(&str, &str); 7] = [
    ("plain", "Recurrent"),
    ("bidirectional", "+ bidirectional"),
    ("teacher-forcing", "+ teacher forcing"),
    ("attention", "+ attention"),
    ("all", "+ all three"),
    ("from-language", "+ all three, from a language model"),
    ("transformer", "Transformer"),
];

impl Translate {
    pub fn run(self) -> Result<()> {
        let name = self.name.clone().unwrap_or_else(|| format!("ladder-{}-{}", self.src, self.tgt));
        let root = Path::new("runs").join(name);
        // Before anything is learnt.
        let recipes = RUNGS.iter().map(|(rung, _)| self.recipe(rung, &root)).collect::<Result<Vec<_>>>()?;
        let from = self.language()?;
        listen()?;
        for ((rung, _), recipe) in RUNGS.iter().zip(&recipes) {
            if *rung == "from-language" && !self.climb(&root, LANGUAGE, &from)? {
                return Ok(());
            }
            if !self.climb(&root, rung, recipe)? {
                return Ok(());
            }
        }
        let records = RUNGS.iter().map(|(rung, _)| Record::read(&root.join(rung))).collect::<Result<Vec<_>>>()?;
        let curves = RUNGS.iter().zip(&records).map(|((rung, _), r)| ((*rung).to_owned(), r.series("valid_loss"))).collect();
        let panel = [plot::lines("validation loss", "step", [false, false], curves)?];
        write_atomically(&root.join("curves.svg"), plot::svg(&panel)?.as_bytes())?;
        write_atomically(&root.join("curves.png"), &plot::png(&panel)?)?;
        let table = table(&root, &records)?;
        write_atomically(&root.join("table.md"), table.as_bytes())?;
        info!("{}, and the curves beside it", root.join("table.md").display());
        #[allow(clippy::print_stdout)] // The result.
        {
            print!("{table}");
        }
        Ok(())
    }

    /// What a rung learns.
    fn recipe(&self, rung: &str, root: &Path) -> Result<Recipe> {
        let all = matches!(rung, "all" | "from-language");
        let from = (rung == "from-language").then(|| RunFolder::best_of(&root.join(LANGUAGE)));
        let mut sizes = self.sizes.clone();
        let choice = if rung == "transformer" {
            Choice::default()
        } else {
            (sizes.heads, sizes.hidden) = (None, None);
            Choice {
                network: Kind::Seq2seq,
                cell: Some(self.cell),
                bidirectional: all || rung == "bidirectional",
                attention: all || rung == "attention",
                teacher_forcing: (all || rung == "teacher-forcing").then_some(FORCING),
                encoder_from: from.clone(),
                decoder_from: from,
            }
        };
        let languages = [self.src.clone(), self.tgt.clone()];
        let config = config(languages, self.data.clone(), Vec::new(), (choice, sizes), self.training.clone(), &SENTENCES)?;
        let steps = matches!(config.training.length, Length::Steps(_));
        ensure!(steps, "--steps is missing: what is compared must have learnt as long");
        Ok(Recipe::Translate(config))
    }

    /// What the language model learns: both languages, with a network whose layers fit.
    fn language(&self) -> Result<Recipe> {
        let languages = [self.src.clone(), self.tgt.clone()];
        let choice = Choice { network: Kind::Seq2seq, cell: Some(self.cell), ..Choice::default() };
        let sizes = Sizes { heads: None, hidden: None, ..self.sizes.clone() };
        let like = config(languages.clone(), self.data.clone(), Vec::new(), (choice, sizes), self.training.clone(), &SENTENCES)?;
        let config = language::Config {
            data: like.data,
            languages: languages.into(),
            columns: Vec::new(),
            batch: like.batch,
            vocabulary: like.vocabulary,
            dropout: like.dropout,
            network: language::Size::of(&like.network, CellKind::from(self.cell)),
            training: like.training,
        };
        config.validate()?;
        Ok(Recipe::Language(config))
    }

    /// Trains a rung, from where it stands; whether it is finished.
    fn climb(&self, root: &Path, rung: &str, recipe: &Recipe) -> Result<bool> {
        let folder = root.join(rung);
        let begun = folder.join(RunFolder::CONFIG).exists();
        if begun && Record::read(&folder)?.fact("status") == "finished" {
            RunFolder::open(&folder)?.check_config(recipe)?;
            info!("{}: finished before", folder.display());
            return Ok(true);
        }
        let how = How { name: None, resume: begun, device: self.device, profile: false };
        learn(recipe, &folder, self.tokenizer(root)?, &how)
    }

    /// That of the first rung: all know the same words, or their losses could not be compared.
    fn tokenizer(&self, root: &Path) -> Result<Option<Tokenizer>> {
        let path = root.join(RUNGS[0].0).join(TOKENIZER);
        path.exists().then(|| read_tokenizer(&path)).transpose()
    }
}

/// A line a rung, in Markdown.
fn table(root: &Path, records: &[Record]) -> Result<String> {
    let minutes = |record: &Record| record.last("seconds").unwrap_or_default() / 60.0;
    let mut table = "| Network | Validation loss | BLEU | Parameters | Minutes |\n|---|---|---|---|---|\n".to_owned();
    for ((rung, label), record) in RUNGS.iter().zip(records) {
        let weights = Checkpoint::read(&RunFolder::best_of(&root.join(rung)))?;
        let parameters: usize = weights.tensors.values().map(|tensor| tensor.values.len()).sum();
        let before = match *rung {
            "from-language" => format!("{:.1} + ", minutes(&Record::read(&root.join(LANGUAGE))?)),
            _ => String::new(),
        };
        let number = |column: &str| record.last(column).unwrap_or(f64::NAN);
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| {label} | {:.3} | {:.1} | {:.2} million | {before}{:.1} |",
            number("valid_loss"),
            number("bleu"),
            parameters as f64 / 1e6,
            minutes(record)
        );
    }
    Ok(table)
}
