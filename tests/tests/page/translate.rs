//! Sentences.

use std::fs;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use serde_json::{Value, json};
use shared::checkpoint::Checkpoint;
use shared::pipeline::search::Search;
use shared::pipeline::translate::Translator;
use xtask::browser::Browser;

use super::{Visit, is_clean, text};

const STATE: &str = "document.getElementById('room-translate').dataset.state";

/// A model that the page has, by its name.
async fn choose(browser: &Browser, name: &str) -> Result<()> {
    let choose = "((select, name) => { select.value = name; select.dispatchEvent(new Event('change')); })";
    browser.value(&format!("void {choose}(document.getElementById('pair'), '{name}')")).await.map(drop)
}

/// Types a text, over what is there. Whatever the page makes of it, its state is a new one.
async fn write(browser: &Browser, text: &str) -> Result<()> {
    let write = "((field, text) => { field.value = text; field.dispatchEvent(new Event('input')); })";
    browser.value(&format!("void ({STATE} = 'typed')")).await?;
    browser.value(&format!("void {write}(document.getElementById('source'), {})", json!(text))).await.map(drop)
}

async fn state(browser: &Browser, wanted: &str, seconds: u64) -> Result<()> {
    browser.until(&format!("{STATE} === '{wanted}'"), seconds).await
}

/// The translation of a text.
async fn translation(browser: &Browser, source: &str) -> Result<String> {
    write(browser, source).await?;
    state(browser, "done", 120).await?;
    text(browser, "target").await
}

fn translator(visit: &Visit) -> Result<Translator> {
    let weights = visit.folder.path().join("models/dates.safetensors");
    Ok(Translator::new(&Checkpoint::read(&weights)?, &Device::Cpu)?)
}

/// The browser's GPU process ends between two sentences: the same page goes on with a new device.
#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn a_gpu_that_is_lost_is_found_again() -> Result<()> {
    let visit = Visit::new()?;
    let browser = visit.browser("?engine=webgpu#translate").await?;
    choose(&browser, "dates").await?;
    ensure!(translation(&browser, "3 May 2011").await?.trim() == "2011-05-03");
    browser.crash_gpu().await?;
    ensure!(translation(&browser, "4 May 2011").await?.trim() == "2011-05-04");
    let facts = text(&browser, "translate-facts").await?;
    ensure!(facts.contains("adapter"), "it says {facts}");
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn text_files_are_read_and_what_is_none_is_named() -> Result<()> {
    let visit = Visit::new()?;
    let browser = visit.browser("?engine=cpu#translate").await?;
    choose(&browser, "dates").await?;
    let utf16: Vec<u8> = "\u{feff}5 May 2011".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes, iso) in [
        ("plain.txt", b"3 May 2011\n".to_vec(), "2011-05-03"),
        ("windows.txt", b"4 f\xe9vrier 2011".to_vec(), "2011-02-04"),
        ("utf16.txt", utf16, "2011-05-05"),
    ] {
        browser.value(&format!("void ({STATE} = 'typed')")).await?;
        browser.choose_file("#source-file", name, &bytes).await?;
        state(&browser, "done", 120).await?;
        let found = text(&browser, "target").await?;
        ensure!(found.trim() == iso, "{name}: {found}");
    }
    ensure!(browser.value("document.getElementById('translate-save').disabled").await? == false);
    for (name, bytes) in [("picture.png", b"\x89PNG\0\0".to_vec()), ("long.txt", vec![b'a'; 100_001])] {
        browser.choose_file("#source-file", name, &bytes).await?;
        state(&browser, "error", 60).await?;
        ensure!(text(&browser, "translate-error").await?.contains(name), "{name} is not named");
        browser.value(&format!("void ({STATE} = 'typed')")).await?;
    }
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn the_processor_translates_like_the_trainer() -> Result<()> {
    translates_like_the_trainer("cpu", 40).await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn webgpu_translates_like_the_trainer() -> Result<()> {
    translates_like_the_trainer("webgpu", 4).await
}

async fn translates_like_the_trainer(engine: &str, count: usize) -> Result<()> {
    let visit = Visit::new()?;
    let translator = translator(&visit)?;
    let browser = visit.browser(&format!("?engine={engine}#translate")).await?;
    choose(&browser, "dates").await?;
    let pairs = trainer::translate::dates::pairs(3, count, true);
    let lines: Vec<&str> = pairs.iter().map(|pair| pair.source.as_str()).collect();
    // Empty lines and white space stay as they are.
    let typed = format!("{}\n\n  May 3rd, 2021", lines.join("\n"));
    let best = |line: &str| -> Result<String> {
        Ok(translator.translate(line, &Search::default())?.into_iter().next().context("no translation")?.text)
    };
    let expected = lines.iter().map(|line| best(line)).collect::<Result<Vec<_>>>()?.join("\n") + "\n\n  2021-05-03";
    ensure!(translation(&browser, &typed).await? == expected);
    let ran_on = browser.value("document.getElementById('room-translate').dataset.engine").await?;
    ensure!(ran_on == engine, "asked for {engine}, ran on {ran_on}");

    // What a person can look at: other translations, and which word came from which.
    browser.click("#target [data-piece]").await?;
    let rows = browser.value("document.querySelectorAll('#heat tr').length").await?;
    ensure!(rows.as_u64() > Some(2), "{rows} rows");
    let height = browser.value("document.querySelector('#heat tr:last-child').getBoundingClientRect().height").await?;
    ensure!(height.as_f64() < Some(60.0), "a row of words is {height} pixels high");
    let second = "document.querySelector('#alternatives li:nth-child(2) button')";
    let other = browser.value(&format!("{second}.textContent")).await?;
    browser.click("#alternatives li:nth-child(2) button").await?;
    let first = browser.value("document.querySelector('#target [data-piece]').textContent").await?;
    ensure!(first == other, "{first} is shown, {other} was chosen");

    // Another text, while one is at work.
    write(&browser, &trainer::translate::dates::pairs(5, 500, true).into_iter().map(|p| p.source).collect::<Vec<_>>().join("\n"))
        .await?;
    browser.until("document.querySelector('#target [role=button]') !== null", 60).await?;
    ensure!(translation(&browser, "le 14 juillet 1989\n31.12.99").await? == "1989-07-14\n1999-12-31");
    is_clean(&browser).await?;
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn any_text_is_answered_and_stop_stops() -> Result<()> {
    let visit = Visit::new()?;
    let browser = visit.browser("#translate").await?;
    choose(&browser, "dates").await?;
    for odd in ["🎈🎈", "مرحبا بالعالم", "a\u{0}b\u{7f}\u{202e}c", &"x".repeat(10_000), "<b>1 May 2020</b>"] {
        let translated = translation(&browser, odd).await?;
        ensure!(!translated.trim().is_empty(), "nothing for {odd:.20}");
    }
    ensure!(browser.value("document.querySelector('#target b')").await? == Value::Null, "text became an element");

    // White space alone is nothing to translate.
    write(&browser, " \n ").await?;
    state(&browser, "idle", 10).await?;
    ensure!(text(&browser, "target").await?.is_empty());

    let long = trainer::translate::dates::pairs(4, 3000, true).into_iter().map(|p| p.source).collect::<Vec<_>>().join("\n");
    write(&browser, &long).await?;
    browser.until("document.getElementById('translate-progress').value > 0", 60).await?;
    browser.click("#translate-stop").await?;
    state(&browser, "done", 10).await?;
    ensure!(text(&browser, "translate-facts").await? == "Stopped.");
    // And it goes on working.
    ensure!(translation(&browser, "le 14 juillet 1989").await? == "1989-07-14");
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn damaged_weights_translate_nothing() -> Result<()> {
    let visit = Visit::new()?;
    let weights = visit.folder.path().join("models/dates.safetensors");
    let mut bytes = fs::read(&weights)?;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes)?;
    let browser = visit.browser("#translate").await?;
    choose(&browser, "dates").await?;
    write(&browser, "1 May 2020").await?;
    state(&browser, "error", 60).await?;
    let error = text(&browser, "translate-error").await?;
    ensure!(error.contains("SHA-256"), "{error}");
    browser.close().await
}

/// A link leads to a room, and Back leads back.
#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn rooms_have_addresses() -> Result<()> {
    let visit = Visit::new()?;
    let browser = visit.browser("").await?;
    let shown = "[...document.querySelectorAll('.room')].filter((room) => room.checkVisibility()).map((room) => room.id).join()";
    ensure!(browser.value(shown).await? == "room-enlarge");
    browser.click("#to-translate").await?;
    browser.until(&format!("{shown} === 'room-translate'"), 5).await?;
    ensure!(browser.value("location.hash").await? == "#translate");
    ensure!(browser.value("document.querySelector('nav [aria-current]').id").await? == "to-translate");
    browser.value("void history.back()").await?;
    browser.until(&format!("{shown} === 'room-enlarge'"), 5).await?;
    browser.close().await
}
