use anyhow::Result;
use shared::checkpoint::Metadata;
use shared::picture::Format;
use tracing::{info, warn};

use crate::learner::{Callback, Flow, Run, Sample};
use crate::runs::{RunFolder, write_atomically, write_reports};

/// A line of `metrics.csv` an epoch.
pub struct Csv<'a> {
    /// Where.
    pub folder: &'a RunFolder,
}

impl Callback for Csv<'_> {
    fn before_fit(&mut self, run: &mut Run) -> Result<Flow> {
        // What was written after the checkpoint that the run goes on from comes again.
        self.folder.forget_after(run.step)?;
        Ok(Flow::Go)
    }

    fn after_epoch(&mut self, run: &mut Run) -> Result<Flow> {
        if let Some(validation) = &run.validation {
            let numbers = [
                ("epoch", run.epoch.to_string()),
                ("step", run.step.to_string()),
                ("seconds", format!("{:.1}", run.seconds)),
                ("rate", format!("{:.4e}", run.rate)),
                ("train_loss", format!("{:.6}", run.losses.mean())),
                ("valid_loss", format!("{:.6}", validation.loss)),
            ];
            let metrics = validation.metrics.iter().map(|(name, value)| (*name, format!("{value:.5}")));
            self.folder.log(&numbers.into_iter().chain(metrics).collect::<Vec<_>>())?;
        }
        Ok(Flow::Go)
    }
}

/// What validation has to show, every epoch.
pub struct Samples<'a> {
    /// Where.
    pub folder: &'a RunFolder,
}

impl Callback for Samples<'_> {
    fn after_epoch(&mut self, run: &mut Run) -> Result<Flow> {
        let path = |ending: &str| self.folder.path(&format!("samples/{:07}.{ending}", run.step));
        match run.validation.as_ref().and_then(|v| v.sample.as_ref()) {
            Some(Sample::Picture(picture)) => write_atomically(&path("png"), &picture.encode(Format::Png)?)?,
            Some(Sample::Text(text)) => write_atomically(&path("txt"), text.as_bytes())?,
            None => {}
        }
        Ok(Flow::Go)
    }
}

/// The best weights, and all that resuming needs, every epoch and when the run is stopped.
pub struct Checkpoints<'a> {
    /// Where.
    pub folder: &'a RunFolder,
    /// What checkpoints say of the network.
    pub metadata: Metadata,
    saved: Option<u64>,
}

impl<'a> Checkpoints<'a> {
    /// The name of the best score among [`Run::facts`].
    pub const BEST: &'static str = "checkpoints.best";

    /// Into this folder.
    pub fn new(folder: &'a RunFolder, metadata: Metadata) -> Self {
        Self { folder, metadata, saved: None }
    }

    fn save(&mut self, run: &Run) -> Result<()> {
        self.folder.save(&self.metadata, run)?;
        self.saved = Some(run.step);
        Ok(())
    }
}

impl Callback for Checkpoints<'_> {
    fn before_fit(&mut self, run: &mut Run) -> Result<Flow> {
        self.saved = Some(run.step);
        Ok(Flow::Go)
    }

    fn after_epoch(&mut self, run: &mut Run) -> Result<Flow> {
        let score = run.score().unwrap_or(f64::NEG_INFINITY);
        if run.facts.get(Self::BEST).is_none_or(|best| score >= *best) {
            run.facts.insert(Self::BEST.into(), score);
            self.folder.save_best(&run.weights(self.metadata.clone())?)?;
        }
        self.save(run)?;
        Ok(Flow::Go)
    }

    fn after_fit(&mut self, run: &mut Run) -> Result<Flow> {
        if self.saved != Some(run.step) {
            self.save(run)?;
            // Not a candidate for the best: a run that is stopped and resumed ends as one that never stopped.
            if !self.folder.best().exists() {
                self.folder.save_best(&run.weights(self.metadata.clone())?)?;
            }
        }
        if !run.is_finished() {
            info!("stopped and saved at step {}; go on with --resume", run.step);
        }
        Ok(Flow::Go)
    }
}

/// Curves and the report, every epoch. A report that cannot be written does not end the run.
pub struct Reports<'a> {
    /// Where.
    pub folder: &'a RunFolder,
}

impl Reports<'_> {
    fn write(&self, status: &str) -> Flow {
        let written = self.folder.set_status(status).and_then(|()| write_reports(self.folder.root()));
        if let Err(error) = written {
            warn!("no report: {error:#}");
        }
        Flow::Go
    }
}

impl Callback for Reports<'_> {
    fn after_epoch(&mut self, _: &mut Run) -> Result<Flow> {
        Ok(self.write("running"))
    }

    fn after_fit(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(self.write(if run.is_finished() { "finished" } else { "stopped" }))
    }
}
