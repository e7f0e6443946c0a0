//! What a model card says of a network for super-resolution.

use std::fmt::Write;

use anyhow::{Result, bail};
use shared::catalogue::Model;
use shared::checkpoint::Checkpoint;
use shared::models::ImageConfig;

use super::evaluate::Scores;

/// The model card, in Markdown.
///
/// # Errors
/// When the network is not one for super-resolution.
pub fn card(model: &Model, checkpoint: &Checkpoint, tests: &[(String, Scores)]) -> Result<String> {
    let Model { name, scale, quality, parameters, bytes, file, .. } = model;
    let network = match checkpoint.image()? {
        ImageConfig::Rlfn(c) => format!(
            "RLFN (Kong et al. 2022, arXiv:2205.07514) without its attention: {} blocks of three 3x3 convolutions, {} channels, \
             pixel shuffle",
            c.blocks, c.channels
        ),
        ImageConfig::SrResnet(c) => {
            format!("EDSR's residual network (Lim et al. 2017, arXiv:1707.02921): {} blocks, {} channels", c.blocks, c.channels)
        }
        other => bail!("{name}: {other:?} is not a network for super-resolution"),
    };
    let made_for = if quality == "fast" { "a CPU" } else { "a GPU" };
    let mut text = format!(
        "# {name}\n\n\
         Enlarges a picture {scale} times in each direction. Made for {made_for}.\n\n\
         ## Network\n\n\
         - {network}\n\
         - {parameters} parameters, stored as f16 in {bytes} bytes\n\
         - Receptive field: {} small pixels to each side, so tiles with that halo give exactly the untiled result\n\
         - Input and output: RGB in 0..1, any size\n\n\
         ## Training\n\n",
        checkpoint.image()?.receptive_field().unwrap_or_default(),
    );
    for (fact, value) in &checkpoint.metadata.provenance {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {fact}: {value}");
    }
    text.push_str(
        "\nSmall pictures were made from the large ones by MATLAB's `imresize` (bicubic, antialiased). Loss: L1 on RGB. The stored \
         weights are their exponential moving average.\n\n\
         ## Measured\n\n\
         On the luma of BT.601, with a border as wide as the scale left out, from the f16 weights.\n\n\
         | Test set | PSNR (dB) | SSIM | bicubic PSNR | bicubic SSIM |\n|---|---|---|---|---|\n",
    );
    for (set, s) in tests {
        let _ = writeln!(text, "| {set} | {:.2} | {:.4} | {:.2} | {:.4} |", s.psnr, s.ssim, s.bicubic_psnr, s.bicubic_ssim);
    }
    let _ = write!(
        text,
        "\n```\ncargo run --release -p trainer -- eval superres --weights web/models/{file} --data DIR --json\n```\n\n\
         ## Limits\n\n\
         It learnt to undo clean shrinking. What a picture has of JPEG blocks, noise or blur it keeps or sharpens. It was trained \
         for fidelity (L1), so it draws no detail that it cannot infer: fine texture stays soft. Do not use it where invented \
         detail could mislead, as in medicine or evidence.\n",
    );
    Ok(text)
}
