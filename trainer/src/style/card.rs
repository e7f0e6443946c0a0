//! What a model card says of a network of many styles.

use std::fmt::Write;

use anyhow::{Result, bail};
use shared::catalogue::Model;
use shared::checkpoint::Checkpoint;
use shared::models::ImageConfig;

use super::evaluate::{Scores, mean};

/// The model card, in Markdown.
///
/// # Errors
/// When the network is not one of many styles.
pub fn card(model: &Model, checkpoint: &Checkpoint, scores: &[Scores], tested: &str) -> Result<String> {
    let Model { name, parameters, bytes, file, .. } = model;
    let ImageConfig::TransformNet(network) = checkpoint.image()? else { bail!("{name}: not a network of styles") };
    let mut text = format!(
        "# {name}\n\n\
         Redraws a picture in the style of a painting, or of several at once, as strongly as one likes.\n\n\
         ## Styles\n\n"
    );
    for style in &checkpoint.metadata.styles {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- `{}`: {}", style.name, style.title);
    }
    let _ = write!(
        text,
        "\n## Network\n\n\
         - The transformation network of Johnson et al. 2016 (arXiv:1603.08155) with {} channels at full resolution and {} residual \
         blocks, mirrored borders, nearest-neighbour enlargement before a convolution\n\
         - Conditional instance norm (Dumoulin et al. 2016, arXiv:1610.07629): a style is a scale and a shift of every channel, and \
         what lies between styles is what lies between those\n\
         - {parameters} parameters, stored as f16 in {bytes} bytes\n\
         - Its norms see the whole picture, so it is not cut into tiles\n\
         - Input and output: RGB in 0..1, any size; sides are filled up to a multiple of 4\n\n\
         ## Training\n\n",
        network.channels, network.blocks
    );
    for (fact, value) in &checkpoint.metadata.provenance {
        let _ = writeln!(text, "- {fact}: {value}");
    }
    text.push_str(
        "\nLosses are relative: content is the squared difference of features, as part of that of the photo's; style is the squared \
         difference of Gram matrices, as part of that of the painting's, averaged over layers. The stored weights are an exponential \
         moving average. The network that judges is not part of this file, nor are its weights.\n\n\
         ## Measured\n\n",
    );
    let _ = write!(
        text,
        "On {tested}, whole, at full strength, from the f16 weights, by the network that judged the training. Lower is better; 1 is a \
         picture that has nothing of what is wanted.\n\n\
         | Style | Content loss | Style loss | Style loss of the photo itself |\n|---|---|---|---|\n"
    );
    for Scores { name, content, style, before } in scores {
        let _ = writeln!(text, "| `{name}` | {content:.3} | {style:.4} | {before:.3} |");
    }
    let Scores { content, style, before, .. } = mean(scores);
    let _ = writeln!(text, "| mean | {content:.3} | {style:.4} | {before:.3} |");
    let _ = write!(
        text,
        "\n```\ncargo run --release -p trainer -- eval style --weights web/models/{file} --judge FILE --style NAME=FILE --data DIR\n```\n\n\
         ## Limits\n\n\
         Strokes have the size, in pixels, that they had in training: a large picture gets small ones, so shrink it first for a bolder \
         look. Faces lose their likeness. Some \
         pictures get a dark, blurred spot in an even part: one place of a feature map takes most of an instance norm's variance. A blend is a look of its own, not the sum of two.\n",
    );
    Ok(text)
}
