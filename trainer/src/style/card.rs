//! What a model card says of a network of many styles.

use std::fmt::Write;

use anyhow::{Result, bail};
use shared::catalogue::Model;
use shared::checkpoint::Checkpoint;
use shared::models::{AdaInConfig, ImageConfig, TransformNetConfig};

use super::evaluate::{Scores, mean};

/// The model card, in Markdown; `pictures` lie beside it, and say what they show.
///
/// # Errors
/// When the network is not one that restyles.
pub fn card(
    model: &Model,
    checkpoint: &Checkpoint,
    scores: &[Scores],
    tested: &str,
    pictures: &[(String, String)],
) -> Result<String> {
    let Model { name, parameters, bytes, file, .. } = model;
    let (purpose, network, losses, limits) = match checkpoint.image()? {
        ImageConfig::TransformNet(network) => (
            "Redraws a picture in the style of a painting, or of several at once, as strongly as one likes.",
            transform_net(network),
            MATCHED,
            if network.bounded { BLENDS } else { DROPS },
        ),
        ImageConfig::AdaIn(network) => (
            "Redraws a picture in the style of any other, or of several at once, as strongly as one likes.",
            adain(network),
            ADAPTED,
            UNSEEN,
        ),
        _ => bail!("{name}: not a network that restyles"),
    };
    let mut text = format!("# {name}\n\n{purpose}\n\n## Styles\n\n");
    for style in &checkpoint.metadata.styles {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- `{}`: {}", style.name, style.title);
    }
    for (file, shows) in pictures {
        let _ = writeln!(text, "\n![{shows}]({file})");
    }
    let _ = write!(
        text,
        "\n## Network\n\n{network}\
         - {parameters} parameters, stored as f16 in {bytes} bytes\n\
         - Its norms see the whole picture, so it is not cut into tiles\n\
         - Input and output: RGB in 0..1, any size; sides are filled up to a multiple of 4\n\n\
         ## Training\n\n",
    );
    for (fact, value) in &checkpoint.metadata.provenance {
        let _ = writeln!(text, "- {fact}: {value}");
    }
    let _ = write!(
        text,
        "\nLosses are relative: {losses} The stored weights are an exponential moving average. The network that judges is not part of \
         this file, nor are its weights.\n\n\
         ## Measured\n\n\
         On {tested}, whole, at full strength, from the f16 weights, by the network that judged the training, style as the squared \
         difference of Gram matrices, as part of that of the painting's, averaged over layers. Lower is better; 1 is a picture that \
         has nothing of what is wanted.{}",
        table(checkpoint, scores)
    );
    let _ = write!(
        text,
        "\n```\ncargo run --release -p trainer -- eval style --weights web/models/{file} --judge FILE --style NAME=FILE --data DIR\n```\n\n\
         ## Limits\n\n\
         Strokes have the size, in pixels, that they had in training: a large picture gets small ones, so shrink it first for a bolder \
         look. Faces lose their likeness. {limits}\n",
    );
    Ok(text)
}

/// A row a style, and their mean; a style that the network does not have was taken for the test alone.
fn table(checkpoint: &Checkpoint, scores: &[Scores]) -> String {
    let known = |name: &str| checkpoint.metadata.styles.iter().any(|style| style.name == name);
    let stored: Vec<Scores> = scores.iter().filter(|scores| known(&scores.name)).cloned().collect();
    let of_mean = mean(&stored);
    let about = " LPIPS (Zhang et al. 2018, arXiv:1801.03924, SqueezeNet, version 0.1) says how different the result looks from the photo.";
    let (about, title, line) = match of_mean.lpips {
        Some(_) => (about, " LPIPS |", "---|"),
        None => ("", "", ""),
    };
    let mut text = format!(
        "{about}\n\n| Style | Content loss | Style loss | Style loss of the photo itself |{title}\n|---|---|---|---|{line}\n"
    );
    let mut row = |name: &str, Scores { content, style, before, lpips, .. }: &Scores| {
        let lpips = lpips.map(|lpips| format!(" {lpips:.3} |")).unwrap_or_default();
        let _ = writeln!(text, "| {name} | {content:.3} | {style:.4} | {before:.3} |{lpips}");
    };
    for scores in scores {
        let unseen = if known(&scores.name) { "" } else { ", not seen in training" };
        row(&format!("`{}`{unseen}", scores.name), scores);
    }
    row(if stored.len() == scores.len() { "mean" } else { "mean of those stored" }, &of_mean);
    text
}

fn transform_net(network: &TransformNetConfig) -> String {
    format!(
        "- The transformation network of Johnson et al. 2016 (arXiv:1603.08155) with {} channels at full resolution and {} residual \
         blocks, mirrored borders, nearest-neighbour enlargement before a convolution\n\
         - Conditional instance norm (Dumoulin et al. 2016, arXiv:1610.07629): a style is a scale and a shift of every channel, and \
         what lies between styles is what lies between those\n{}",
        network.channels,
        network.blocks,
        if network.bounded { BOUNDED } else { "" }
    )
}

fn adain(network: &AdaInConfig) -> String {
    format!(
        "- Adaptive instance norm (Huang and Belongie 2017, arXiv:1703.06868): the picture's colours and then an encoder's {} features at a \
         quarter of its size get the mean and the deviation that they have in the style's picture, and a decoder with {} residual blocks; {} \
         channels at full resolution, mirrored borders, nearest-neighbour enlargement before a convolution\n\
         - The encoder learns to see what the network that judges sees, with fewer channels; encoder and decoder are trained \
         together, from nothing\n\
         - A stored style is those means and deviations, so any picture can be one, and what lies between styles is what lies \
         between those\n",
        network.features, network.blocks, network.channels
    )
}

const MATCHED: &str = "content is the squared difference of features, as part of that of the photo's; style is the squared difference of \
                       Gram matrices, as part of that of the painting's, averaged over layers.";

const ADAPTED: &str = "content is the squared difference to the photo's features with the style's statistics, as part of those; style is \
                       the squared difference of the means and deviations of features, as part of those of the style's, averaged over \
                       layers; seeing is the squared difference of the encoder's features to those of the network that judges.";

const BOUNDED: &str = "- What comes out of a norm is cut off a few deviations from the mean: otherwise a few pixels of a feature may take most of its \
                       variance, and show as spots\n";

const BLENDS: &str = "A blend is a look of its own, not the sum of two.";

const DROPS: &str = "Some pictures get a dark, blurred spot in an even part: one place of a feature map takes most of an instance norm's \
                     variance. A blend is a look of its own, not the sum of two.";

const UNSEEN: &str = "It gives a picture the colours, the contrast and the small strokes of a style, but not its shapes: what is wider than \
                      some twenty pixels it does not see. A network that has learnt one style does that better.";
