//! Pictures.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use serde_json::Value;
use shared::checkpoint::Checkpoint;
use shared::picture::Picture;
use shared::session::{Engine, Session};
use xtask::browser::Browser;

use super::{Visit, is_clean, text};

/// A small picture with edges, a gradient, a texture and colours, as PNG.
fn picture(width: u32, height: u32) -> Vec<u8> {
    let pixel = |i: u32| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        let disk = (x - 0.6 * width as f32).hypot(y - 0.4 * height as f32) < 0.25 * height as f32;
        let stripes = 60.0 * (0.9 * x + 0.5 * y).sin();
        let sky = 90.0 + 120.0 * y / height as f32;
        let rgb = if disk { [210.0, 90.0 + stripes / 3.0, 40.0] } else { [sky, sky + stripes / 2.0, 200.0 - sky / 2.0] };
        rgb.map(|v| v as u8)
    };
    let rgb: Vec<u8> = (0..width * height).flat_map(pixel).collect();
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(&rgb, width, height, ExtendedColorType::Rgb8).expect("PNG holds it");
    png
}

/// The entry of the page's list of models.
fn model(page: &Path, scale: u64, quality: &str) -> Result<Value> {
    let list: Value = serde_json::from_slice(&fs::read(page.join("models/models.json"))?)?;
    let found = |m: &&Value| m["task"] == "superres" && m["scale"] == scale && m["quality"] == quality;
    let model = list["models"].as_array().into_iter().flatten().find(found);
    model.cloned().with_context(|| format!("models.json has no model for x{scale} {quality}"))
}

/// What `trainer run superres` makes of a picture.
fn trainer_run(weights: &Path, png: &[u8]) -> Result<Picture> {
    let session = Session::new(&Checkpoint::read(weights)?, Engine::Candle(candle_core::Device::Cpu))?;
    trainer::superres::evaluate::enlarge(&session, &Picture::decode(png)?, trainer::superres::evaluate::TILE, |_, _| Ok(()))
}

/// PSNR over all samples of two pictures of one size, in dB.
fn psnr(a: &Picture, b: &Picture) -> f64 {
    let (a, b) = (a.to_rgba8(), b.to_rgba8());
    let squares = a.iter().zip(&b).filter(|(a, b)| a != b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    // Not `sum`, which gives -0 for pictures that are equal. Alpha is 255 in both: three of four samples count.
    10.0 * (255.0 * 255.0 / (squares.fold(0.0, |sum, square| sum + square) / (0.75 * a.len() as f64))).log10()
}

/// `a` against a smooth version of itself, to have something to compare PSNRs with.
fn reference(png: &[u8], large: &Picture) -> Result<Picture> {
    let small = image::load_from_memory(png)?;
    let resized = small.resize_exact(large.width() as u32, large.height() as u32, image::imageops::FilterType::CatmullRom);
    Ok(Picture::from_rgba8(large.width(), large.height(), resized.into_rgba8().into_raw())?)
}

const STATE: &str = "document.getElementById('room-enlarge').dataset.state";

async fn state(browser: &Browser, wanted: &str, seconds: u64) -> Result<()> {
    browser.until(&format!("{STATE} === '{wanted}'"), seconds).await
}

/// Opens a picture and starts to enlarge it.
async fn enlarge(browser: &Browser, name: &str, png: &[u8], scale: u64, quality: &str) -> Result<()> {
    browser.until("document.querySelector('#scales input') !== null", 30).await?;
    browser.choose_file("#file", name, png).await?;
    state(browser, "ready", 30).await?;
    // The inputs themselves are hidden behind their labels.
    for id in [format!("scale-{scale}"), format!("quality-{quality}")] {
        browser.click(&format!("label:has(#{id})")).await?;
        browser.until(&format!("document.getElementById('{id}').checked"), 5).await?;
    }
    browser.click("#enlarge").await
}

/// The picture on the canvas of the result.
async fn result(browser: &Browser) -> Result<Picture> {
    let url = browser.value("document.getElementById('result').toDataURL('image/png')").await?;
    let base64 = url.as_str().and_then(|url| url.strip_prefix("data:image/png;base64,")).context("no PNG of the result")?;
    Ok(Picture::decode(&decode_base64(base64).context("broken base64")?)?)
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::with_capacity(text.len()));
    for digit in text.trim_end_matches('=').bytes() {
        bits = bits << 6 | ALPHABET.iter().position(|&d| d == digit)? as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// Enlarges on `engine` and compares with what the trainer makes of the same picture.
async fn enlarges_like_the_trainer(engine: &str, size: (u32, u32)) -> Result<()> {
    let visit = Visit::new()?;
    let model = model(visit.folder.path(), 2, "fast")?;
    let weights = visit.weights(&model)?;
    let png = picture(size.0, size.1);
    let expected = trainer_run(&weights, &png)?;

    let browser = visit.browser(&format!("?engine={engine}")).await?;
    enlarge(&browser, "holiday.png", &png, 2, "fast").await?;
    state(&browser, "done", 300).await?;
    let ran_on = browser.value("document.getElementById('room-enlarge').dataset.engine").await?;
    ensure!(ran_on == engine, "asked for {engine}, ran on {ran_on}");
    let enlarged = result(&browser).await?;
    ensure!((enlarged.width(), enlarged.height()) == (2 * size.0 as usize, 2 * size.1 as usize));

    // Both are measured against a third picture, as one measures against the truth.
    let truth = reference(&png, &expected)?;
    let (page, native) = (psnr(&enlarged, &truth), psnr(&expected, &truth));
    ensure!((page - native).abs() < 0.1, "{engine}: {page:.3} dB in the page, {native:.3} dB from the trainer");
    // The two are in fact the same but for the rounding of single samples.
    let difference = psnr(&enlarged, &expected);
    ensure!(difference > 50.0, "{engine}: page and trainer differ by {difference:.1} dB");
    ensure!(native < 45.0, "the network changes nothing: {native:.1} dB from bicubic");
    is_clean(&browser).await?;
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn the_processor_enlarges_like_the_trainer() -> Result<()> {
    enlarges_like_the_trainer("cpu", (40, 30)).await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn webgpu_enlarges_like_the_trainer() -> Result<()> {
    enlarges_like_the_trainer("webgpu", (24, 18)).await
}

/// Whether the last pixel of a canvas is drawn.
fn is_drawn(id: &str) -> String {
    format!(
        "((c) => c.getContext('2d').getImageData(c.width - 1, c.height - 1, 1, 1).data[3] === 255)(document.getElementById('{id}'))"
    )
}

/// The browser's GPU process ends between two pictures, as it does when a driver crashes. What was shown is drawn again, and the
/// same page goes on with a new device. When the browser gives none any more, which Chromium does after a second crash, the page
/// says what to do.
#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn a_lost_gpu_is_found_again() -> Result<()> {
    let visit = Visit::new()?;
    let browser = visit.browser("?engine=webgpu").await?;
    enlarge(&browser, "holiday.png", &picture(24, 18), 2, "fast").await?;
    state(&browser, "done", 300).await?;
    let before = result(&browser).await?;

    // The page hears of the loss after the crash, and only what it draws after that is to be seen.
    browser.value("void ['before', 'result'].forEach((id) => document.getElementById(id).addEventListener('contextlost', () => { document.title = 'lost ' + id; }))").await?;
    browser.crash_gpu().await?;
    browser.until("document.title.startsWith('lost')", 30).await?;
    for id in ["before", "result"] {
        browser.until(&is_drawn(id), 30).await?;
    }
    ensure!(result(&browser).await? == before, "the result is not drawn again as it was");

    browser.click("#enlarge").await?;
    state(&browser, "done", 300).await?;
    let notice = text(&browser, "notice-text").await?;
    ensure!(notice.contains("found it again"), "the page says {notice}");
    ensure!(browser.value("document.getElementById('room-enlarge').dataset.engine").await? == "webgpu");
    ensure!(psnr(&result(&browser).await?, &before) > 50.0, "another picture than before");

    browser.crash_gpu().await?;
    browser.click("#enlarge").await?;
    state(&browser, "error", 60).await?;
    let error = text(&browser, "error-text").await?;
    ensure!(error.contains("gives no other") && error.contains("Choose the processor"), "the page says {error}");
    browser.until(&is_drawn("before"), 30).await?;
    browser.close().await
}

/// The GPU process ends while tiles are computed: the picture starts again by itself.
#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn a_gpu_lost_at_work_starts_the_picture_again() -> Result<()> {
    let visit = Visit::new()?;
    let png = picture(150, 100);
    let expected = trainer_run(&visit.weights(&model(visit.folder.path(), 2, "fast")?)?, &png)?;
    let browser = visit.browser("?engine=webgpu").await?;
    enlarge(&browser, "holiday.png", &png, 2, "fast").await?;
    browser.until("document.getElementById('work-detail').textContent.startsWith('1 of')", 60).await?;
    browser.crash_gpu().await?;
    state(&browser, "done", 300).await?;
    let notice = text(&browser, "notice-text").await?;
    ensure!(notice.contains("started anew"), "the page says {notice}");
    for id in ["before", "result"] {
        browser.until(&is_drawn(id), 30).await?;
    }
    let difference = psnr(&result(&browser).await?, &expected);
    ensure!(difference > 50.0, "page and trainer differ by {difference:.1} dB");
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn weights_are_fetched_once() -> Result<()> {
    let visit = Visit::new()?;
    let weights = visit.weights(&model(visit.folder.path(), 2, "fast")?)?;
    let png = picture(20, 15);
    let browser = visit.browser("?engine=cpu").await?;
    enlarge(&browser, "first.png", &png, 2, "fast").await?;
    state(&browser, "done", 120).await?;
    let first = result(&browser).await?;
    browser.close().await?;

    // A second visit, by a browser that was closed in between, to a server without the weights.
    fs::remove_file(&weights)?;
    let browser = visit.browser("?engine=cpu").await?;
    enlarge(&browser, "second.png", &png, 2, "fast").await?;
    state(&browser, "done", 120).await?;
    ensure!(result(&browser).await? == first, "the second visit gives another picture");
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn damaged_weights_are_refused() -> Result<()> {
    let visit = Visit::new()?;
    let weights = visit.weights(&model(visit.folder.path(), 2, "fast")?)?;
    let mut bytes = fs::read(&weights)?;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes)?;
    let browser = visit.browser("?engine=cpu").await?;
    enlarge(&browser, "holiday.png", &picture(20, 15), 2, "fast").await?;
    state(&browser, "error", 60).await?;
    let text = browser.value("document.getElementById('error-text').textContent").await?;
    ensure!(text.as_str().is_some_and(|text| text.contains("SHA-256")), "{text}");
    browser.close().await
}

/// As if the browser ran on a machine with so many threads.
async fn threads(browser: &Browser, count: usize) -> Result<()> {
    let set = format!("void Object.defineProperty(navigator, 'hardwareConcurrency', {{ value: {count}, configurable: true }})");
    browser.value(&set).await.map(drop)
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn several_workers_give_the_same_picture() -> Result<()> {
    let visit = Visit::new()?;
    let browser = visit.browser("?engine=cpu").await?;
    threads(&browser, 1).await?;
    enlarge(&browser, "wide.png", &picture(400, 300), 2, "fast").await?;
    state(&browser, "done", 120).await?;
    let alone = result(&browser).await?;
    ensure!(text(&browser, "fact-engine").await? == "CPU (wasm SIMD)");

    threads(&browser, 3).await?;
    for quality in ["fast", "quality", "fast"] {
        browser.click(&format!("label:has(#quality-{quality})")).await?;
        browser.click("#enlarge").await?;
        state(&browser, "done", 120).await?;
        ensure!(text(&browser, "fact-engine").await?.contains("3 workers"), "one worker did it all");
        ensure!((result(&browser).await? == alone) == (quality == "fast"), "another picture than by one worker");
    }
    is_clean(&browser).await?;
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn one_worker_does_it_where_more_do_not_start() -> Result<()> {
    let visit = Visit::new()?;
    let loader = visit.folder.path().join("pictures_loader.js");
    // All at once, or the first error ends the others before theirs.
    let breaks = "if (self.name === 'hand') { while (Date.now() % 1000 > 5); throw new Error('worn out'); }";
    let broken = format!("{breaks}\n{}", fs::read_to_string(&loader)?);
    fs::write(&loader, broken)?;
    let browser = visit.browser("?engine=cpu").await?;
    threads(&browser, 4).await?;
    enlarge(&browser, "wide.png", &picture(700, 150), 2, "fast").await?;
    state(&browser, "done", 120).await?;
    ensure!(text(&browser, "fact-engine").await? == "CPU (wasm SIMD)");
    let log = browser.log().await?;
    ensure!(log.iter().any(|line| line.contains("worn out")), "the console: {log:#?}");
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn stop_stops_and_what_is_no_picture_is_refused() -> Result<()> {
    let visit = Visit::new()?;
    let browser = visit.browser("?engine=cpu").await?;
    browser.choose_file("#file", "notes.txt", b"Buy milk. Call the framer.").await?;
    state(&browser, "error", 30).await?;
    let text = browser.value("document.getElementById('error-text').textContent").await?;
    ensure!(text.as_str().is_some_and(|text| text.contains("notes.txt")), "{text}");
    ensure!(browser.value("document.getElementById('error').checkVisibility()").await? == true);

    // Large enough that it cannot be done before Stop is pressed: more than 20 tiles.
    enlarge(&browser, "large.png", &picture(700, 500), 2, "fast").await?;
    state(&browser, "running", 30).await?;
    browser.until("document.getElementById('progress').value > 0", 120).await?;
    browser.click("#stop").await?;
    state(&browser, "ready", 60).await?;
    ensure!(browser.value("document.getElementById('result').width").await? == 1, "half a result is left");

    // And it goes on working.
    enlarge(&browser, "small.png", &picture(20, 15), 2, "fast").await?;
    state(&browser, "done", 120).await?;
    let enlarged = result(&browser).await?;
    ensure!((enlarged.width(), enlarged.height()) == (40, 30));

    // What is no picture does not take the result away.
    browser.choose_file("#file", "more.txt", b"And bread.").await?;
    browser.until("document.getElementById('error-text').textContent.includes('more.txt')", 30).await?;
    state(&browser, "done", 5).await?;
    ensure!(result(&browser).await? == enlarged, "the result is gone");
    browser.close().await
}
