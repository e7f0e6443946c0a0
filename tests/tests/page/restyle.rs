//! Pictures in the style of others.

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use pollster::block_on;
use shared::checkpoint::{Checkpoint, Style};
use shared::imresize::{Side, scaled};
use shared::picture::{Format, Picture};
use shared::pipeline::adopt;
use shared::pipeline::restyle::{Look, restyle};
use shared::session::{Engine, Session};
use xtask::browser::Browser;

use super::{Visit, is_clean, text};

/// Nothing is being done, and nothing is left to do for the result.
const SETTLED: &str = "document.getElementById('room-restyle').ariaBusy === 'false'";

/// The result as hexadecimal RGBA, and its width.
async fn result(browser: &Browser, id: &str) -> Result<(usize, Vec<u8>)> {
    let read = format!(
        "(c => [c.width, Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data, v => \
         v.toString(16).padStart(2, '0')).join('')])(document.getElementById('{id}'))"
    );
    let value = browser.value(&read).await?;
    let width = value[0].as_u64().context("no width")? as usize;
    let hex = value[1].as_str().context("no pixels")?;
    let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16);
    Ok((width, (0..hex.len()).step_by(2).map(byte).collect::<Result<_, _>>()?))
}

/// Sets a slider or a menu as a person does.
async fn set(browser: &Browser, id: &str, value: &str) -> Result<()> {
    let set = "((e, v) => { e.value = v; e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change')); })";
    browser.value(&format!("void {set}(document.getElementById('{id}'), '{value}')")).await.map(drop)
}

/// The picture that is open, 256 pixels wide, as it is redrawn.
async fn source(browser: &Browser) -> Result<Picture> {
    let (width, source) = result(browser, "restyle-before").await?;
    let source = Picture::from_rgba8(width, source.len() / 4 / width, source)?;
    Ok(shared::imresize::resized(&source, 256, source.height() * 256 / source.width())?)
}

/// So that the line about the next result is a new one.
async fn forget_facts(browser: &Browser) -> Result<()> {
    browser.value("void (document.getElementById('restyle-facts').textContent = '')").await.map(drop)
}

/// Waits for a line about a result that is another than `before`.
async fn redrawn(browser: &Browser, before: &str) -> Result<String> {
    let facts = "document.getElementById('restyle-facts').textContent";
    browser.until(&format!("{facts} !== '{before}' && {facts}.includes(' in ') && {SETTLED}"), 120).await?;
    text(browser, "restyle-facts").await
}

/// The sample, opened and redrawn at 256 pixels in the first style.
async fn opened(visit: &Visit, engine: &str) -> Result<Browser> {
    let browser = visit.browser(&format!("?engine={engine}#restyle")).await?;
    browser.until("document.querySelectorAll('#restyle-gallery button').length >= 7", 120).await?;
    set(&browser, "restyle-side", if engine == "cpu" { "256" } else { "64" }).await?;
    browser.click("#restyle-sample").await?;
    redrawn(&browser, "").await?;
    Ok(browser)
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn the_processor_restyles_like_the_trainer_and_follows_the_sliders() -> Result<()> {
    let visit = Visit::new()?;
    let browser = opened(&visit, "cpu").await?;
    let checkpoint = Checkpoint::read(&visit.folder.path().join("models/style.safetensors"))?;
    let session = Session::new(&checkpoint, Engine::Candle(Device::Cpu))?;
    let small = source(&browser).await?;
    let styles = &checkpoint.metadata.styles;
    let expect = |parts: &[(String, f32)], strength, keep_colours| -> Result<Vec<u8>> {
        let look = Look { keep_colours, ..Look::new(styles, parts, strength)? };
        Ok(block_on(restyle(&session, &small, &look))?.to_rgba8())
    };
    let close = |shown: &[u8], wanted: &[u8]| {
        let off = |(a, b): (&u8, &u8)| a.abs_diff(*b);
        shown.len() == wanted.len() && shown.iter().zip(wanted).map(off).max() <= Some(1)
    };
    let first = [(styles[0].name.clone(), 1.0)];
    let (_, shown) = result(&browser, "restyle-result").await?;
    ensure!(close(&shown, &expect(&first, 1.0, false)?), "the first style is another in the trainer");

    let before = text(&browser, "restyle-facts").await?;
    forget_facts(&browser).await?;
    set(&browser, "restyle-strength", "40").await?;
    redrawn(&browser, "").await?;
    let (_, shown) = result(&browser, "restyle-result").await?;
    ensure!(close(&shown, &expect(&first, 0.4, false)?), "strength 0.4 is another in the trainer; {before}");

    forget_facts(&browser).await?;
    browser.click("#restyle-blend").await?;
    browser.click("#restyle-gallery button:nth-child(2)").await?;
    browser.click("#restyle-keep").await?;
    redrawn(&browser, "").await?;
    // The last of three changes is what is shown.
    browser.until(&format!("new Promise(r => setTimeout(() => r({SETTLED}), 1500))"), 60).await?;
    let (_, shown) = result(&browser, "restyle-result").await?;
    let blend = [(styles[0].name.clone(), 0.5), (styles[1].name.clone(), 0.5)];
    ensure!(close(&shown, &expect(&blend, 0.4, true)?), "a blend that keeps colours is another in the trainer");

    browser.choose_file("#restyle-file", "broken.png", b"no picture at all").await?;
    browser.until("!document.getElementById('restyle-error').hidden", 60).await?;
    ensure!(text(&browser, "restyle-error-text").await?.contains("broken.png"), "the file is not named");
    is_clean(&browser).await?;
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn any_picture_is_a_style_and_blends_with_the_others() -> Result<()> {
    let visit = Visit::new()?;
    let browser = opened(&visit, "cpu").await?;
    let checkpoint = Checkpoint::read(&visit.folder.path().join("models/own-style.safetensors"))?;
    let session = Session::new(&checkpoint, Engine::Candle(Device::Cpu))?;
    let painting = trainer::data::dead_leaves::pictures(1, 96, 9).remove(0);
    let style = Style { name: "mine".into(), title: "Mine".into() };
    // As large as `trainer run style --take` makes it.
    let adopted = block_on(adopt(&checkpoint, &session, style, &scaled(&painting, Side::Shorter(320))?))?;
    let session = Session::new(&adopted, Engine::Candle(Device::Cpu))?;
    let small = source(&browser).await?;
    let check = async |when: &str, parts: &[(String, f32)]| -> Result<()> {
        let look = Look::new(&adopted.metadata.styles, parts, 1.0)?;
        let wanted = block_on(restyle(&session, &small, &look))?.to_rgba8();
        let (_, shown) = result(&browser, "restyle-result").await?;
        let off = shown.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max();
        ensure!(shown.len() == wanted.len() && off <= Some(1), "{when}, off by {off:?} of 255 from the trainer's");
        Ok(())
    };
    forget_facts(&browser).await?;
    browser.choose_file("#restyle-style-file", "mosaic.png", &painting.encode(Format::Png)?).await?;
    redrawn(&browser, "").await?;
    check("alone", &[("mine".to_owned(), 1.0)]).await?;
    ensure!(text(&browser, "restyle-gallery").await?.contains("mosaic.png"), "the gallery does not name it");

    browser.click("#restyle-blend").await?;
    browser.until(&format!("new Promise(r => setTimeout(() => r({SETTLED}), 1500))"), 60).await?;
    forget_facts(&browser).await?;
    browser.click("#restyle-gallery button:nth-child(2)").await?;
    redrawn(&browser, "").await?;
    let both = [("mine".to_owned(), 0.5), (checkpoint.metadata.styles[1].name.clone(), 0.5)];
    check("blended", &both).await?;

    // On the pad the picture at the right is the second of the two, all of it.
    let to_the_right = "((pad) => { const box = pad.getBoundingClientRect(); const at = { clientX: box.right - 0.14 * box.width, \
                        clientY: box.top + box.height / 2, pointerId: 1, bubbles: true }; for (const type of ['pointerdown', \
                        'pointerup']) pad.dispatchEvent(new PointerEvent(type, at)); })(document.getElementById('restyle-pad'))";
    forget_facts(&browser).await?;
    browser.value(&format!("void {to_the_right}")).await?;
    redrawn(&browser, "").await?;
    check("at the rim of the pad", &[("mine".to_owned(), 1.0)]).await?;
    for row in ["2", "8"] {
        let slider = format!("document.querySelector('#restyle-weights label:nth-child({row}) input')");
        browser.value(&format!("void ({slider}.value = 50)")).await?;
    }

    // What ends the worker takes the style along; it is taken again from its file.
    browser.value("void document.getElementById('restyle-stop').click()").await?;
    forget_facts(&browser).await?;
    set(&browser, "restyle-strength", "99").await?;
    set(&browser, "restyle-strength", "100").await?;
    redrawn(&browser, "").await?;
    browser.until(&format!("new Promise(r => setTimeout(() => r({SETTLED}), 1500))"), 60).await?;
    check("taken again", &both).await?;

    browser.choose_file("#restyle-style-file", "broken.png", b"no picture at all").await?;
    browser.until("!document.getElementById('restyle-error').hidden", 60).await?;
    ensure!(text(&browser, "restyle-error-text").await?.contains("broken.png"), "the file is not named");
    is_clean(&browser).await?;
    browser.close().await
}

/// A picture that was stopped, or that ended the worker, would only do it again.
#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn what_is_stopped_is_not_begun_again_by_itself() -> Result<()> {
    let visit = Visit::new()?;
    let browser = opened(&visit, "cpu").await?;
    browser.value("void document.getElementById('restyle-stop').click()").await?;
    let facts = "document.getElementById('restyle-facts').textContent";
    browser.until(&format!("{facts}.startsWith('640') && !{facts}.includes(' in ') && {SETTLED}"), 60).await?;
    // Long enough for a run, and for the gallery, which is drawn again by the new worker.
    browser.until("new Promise(r => setTimeout(() => r(true), 4000))", 30).await?;
    ensure!(!text(&browser, "restyle-facts").await?.contains(" in "), "it was redrawn");
    set(&browser, "restyle-strength", "50").await?;
    redrawn(&browser, "").await?;
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn webgpu_restyles_like_the_processor() -> Result<()> {
    let visit = Visit::new()?;
    let browser = opened(&visit, "webgpu").await?;
    let (_, gpu) = result(&browser, "restyle-result").await?;
    ensure!(text(&browser, "restyle-facts").await?.contains("adapter"), "it did not run on WebGPU");
    forget_facts(&browser).await?;
    set(&browser, "restyle-engine", "cpu").await?;
    redrawn(&browser, "").await?;
    let (_, cpu) = result(&browser, "restyle-result").await?;
    let off = gpu.iter().zip(&cpu).map(|(a, b)| a.abs_diff(*b)).max();
    ensure!(gpu.len() == cpu.len() && off <= Some(2), "off by {off:?} of 255");
    browser.close().await
}

#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn the_camera_is_restyled_live_and_a_picture_taken() -> Result<()> {
    let visit = Visit::new()?;
    let browser = visit.browser("?engine=cpu#restyle").await?;
    browser.until("document.querySelectorAll('#restyle-gallery button').length >= 7", 120).await?;
    set(&browser, "restyle-side", "256").await?;
    browser.click("#restyle-camera").await?;
    let facts = "document.getElementById('restyle-facts').textContent";
    browser.until(&format!("{facts}.includes('frames a second')"), 60).await?;
    let (width, frame) = result(&browser, "restyle-result").await?;
    ensure!(width == 256 && frame.chunks(4).any(|p| p[..3] != frame[..3]), "the frame is empty");
    browser.click("#restyle-take").await?;
    redrawn(&browser, "").await?;
    ensure!(browser.value("document.getElementById('restyle-video').srcObject").await?.is_null(), "the camera is still on");
    ensure!(text(&browser, "restyle-name").await? == "Camera");
    browser.close().await
}

/// A film of half a second, made by the browser, is redrawn and recorded; what comes out is a film again, in another look.
#[tokio::test]
#[ignore = "needs the built page and a browser: cargo xtask test"]
async fn a_video_is_restyled_frame_by_frame() -> Result<()> {
    let visit = Visit::new()?;
    let browser = visit.browser("?engine=cpu#restyle").await?;
    browser.until("document.querySelectorAll('#restyle-gallery button').length >= 7", 120).await?;
    let film = "new Promise(async (done) => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 48 });
        const context = canvas.getContext('2d');
        const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: 'video/webm' });
        recorder.ondataavailable = ({ data }) => {
            const files = new DataTransfer();
            files.items.add(new File([data], 'holiday.webm', { type: 'video/webm' }));
            const input = document.getElementById('restyle-file');
            input.files = files.files;
            input.dispatchEvent(new Event('change'));
            done(true);
        };
        recorder.start();
        for (let i = 0; i < 12; i++) {
            context.fillStyle = '#4af';
            context.fillRect(0, 0, 64, 48);
            context.fillStyle = '#fa4';
            context.fillRect(4 * i, 10, 16, 20);
            await new Promise((next) => setTimeout(next, 50));
        }
        recorder.stop();
    })";
    browser.value(film).await?;
    redrawn(&browser, "").await?;
    ensure!(text(&browser, "restyle-name").await? == "holiday.webm");
    let button = text(&browser, "restyle-film").await?;
    let frames: usize = button.split(' ').nth(2).and_then(|count| count.parse().ok()).context(button.clone())?;
    ensure!((6..=24).contains(&frames), "{button}");

    let kept = "void (URL.createObjectURL = (create => (blob) => { window.film = blob; return create.call(URL, blob); })(URL.createObjectURL))";
    browser.value(kept).await?;
    browser.click("#restyle-film").await?;
    browser.until("document.getElementById('status').textContent.includes('holiday-restyled.webm')", 120).await?;
    let seen = "new Promise((done) => {
        const video = document.createElement('video');
        video.onerror = () => done(['it cannot be played']);
        video.onloadeddata = () => {
            const context = Object.assign(document.createElement('canvas'), { width: 64, height: 48 }).getContext('2d');
            context.drawImage(video, 0, 0);
            done([video.videoWidth, video.videoHeight, ...context.getImageData(60, 40, 1, 1).data]);
        };
        video.muted = true;
        video.src = URL.createObjectURL(window.film);
    })";
    let seen = browser.value(seen).await?;
    ensure!(seen[0] == 64 && seen[1] == 48, "{seen}");
    // The Starry Night is darker than the sky of the film, #4af.
    ensure!(seen[4].as_u64() < Some(230), "the film looks as before: {seen}");
    ensure!(text(&browser, "restyle-error-text").await?.is_empty());

    let broken = b"\x1aE\xdf\xa3 and nothing else";
    browser.choose_file("#restyle-file", "broken.webm", broken).await?;
    browser.until("!document.getElementById('restyle-error').hidden", 60).await?;
    ensure!(text(&browser, "restyle-error-text").await?.contains("broken.webm"), "the file is not named");
    browser.close().await
}
