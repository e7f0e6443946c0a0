use clap::Args;

use crate::style::judge::{Objective, Statistic};

/// What is compared, and what counts how much.
#[derive(Debug, Clone, Args)]
pub struct ObjectiveArgs {
    /// What of the style's features is compared.
    #[arg(long, value_enum, default_value = "full")]
    gram: Statistic,
    /// The layer that is content [default: the one that suits the network].
    #[arg(long, default_value = "")]
    content_layer: String,
    /// Weight of the style; losses are relative, so that 1 is a picture that has nothing of what is wanted [default: 10, 20 for
    /// gatys].
    #[arg(long)]
    style_weight: Option<f64>,
    /// Weight of the content.
    #[arg(long, default_value_t = 1.0)]
    content_weight: f64,
    /// Weight of total variation.
    #[arg(long, default_value_t = 0.0)]
    smoothness: f64,
}

impl ObjectiveArgs {
    /// As part of a configuration; the layers of the style and `style_weight` are the task's own.
    pub fn objective(&self, style_layers: Vec<String>, style_weight: f64) -> Objective {
        Objective {
            gram: self.gram,
            style_layers,
            content_layer: self.content_layer.clone(),
            style_weight: self.style_weight.unwrap_or(style_weight),
            content_weight: self.content_weight,
            smoothness: self.smoothness,
        }
    }
}
