//! The camera, live: the next frame is taken when the last one is redrawn, so a slow machine drops frames and never lags.

use std::rc::Rc;

use js_sys::ArrayBuffer;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{HtmlElement, HtmlVideoElement, ImageData, MouseEvent};

use super::Restyler;
use crate::channel;
use crate::ui::dom::{by_id, canvas, later, on, warn};
use crate::ui::{announce, camera};

/// How long to wait for a camera that has no frame yet.
const WAIT_MS: i32 = 60;

/// The camera.
pub struct Camera {
    video: HtmlVideoElement,
}

impl Camera {
    /// As index.html has it; off.
    ///
    /// # Errors
    /// When it lacks the element.
    pub fn new() -> Result<Self, JsValue> {
        Ok(Self { video: by_id("restyle-video")? })
    }

    /// Whether it films.
    pub fn is_on(&self) -> bool {
        self.video.src_object().is_some()
    }

    /// Turns it off.
    pub fn stop(&self) {
        camera::turn_off(&self.video);
    }

    async fn start(&self) -> Result<(), JsValue> {
        let devices = camera::devices()?.ok_or("this browser lets no page use a camera here")?;
        camera::turn_on(&devices, &self.video).await?;
        JsFuture::from(self.video.play()?).await.map(drop)
    }

    /// A frame as RGBA, and its size.
    pub fn frame(&self, side: usize) -> Option<(ArrayBuffer, [usize; 2])> {
        match shot(&self.video, side, true) {
            Ok(frame) => frame.map(|f| (channel::buffer(&f.data()), [f.width() as usize, f.height() as usize])),
            Err(error) => {
                warn("camera", &error);
                None
            }
        }
    }
}

/// What a video shows, with its longest side `side` at most, and perhaps as in a mirror; `None` where it shows nothing yet.
///
/// # Errors
/// What the browser throws.
pub fn shot(video: &HtmlVideoElement, side: usize, mirrored: bool) -> Result<Option<ImageData>, JsValue> {
    let (width, height) = (video.video_width(), video.video_height());
    let longest = width.max(height);
    if longest == 0 {
        return Ok(None);
    }
    let share = (side as f64 / f64::from(longest)).min(1.0);
    let [w, h] = [width, height].map(|size| (f64::from(size) * share).round().max(1.0));
    let (_, context) = canvas(w as u32, h as u32)?;
    if mirrored {
        context.translate(w, 0.0)?;
        context.scale(-1.0, 1.0)?;
    }
    context.draw_image_with_html_video_element_and_dw_and_dh(video, 0.0, 0.0, w, h)?;
    context.get_image_data(0.0, 0.0, w, h).map(Some)
}

impl Restyler {
    fn go_live(self: &Rc<Self>) {
        let app = self.clone();
        app.film.stop();
        spawn_local(async move {
            app.error("");
            match app.camera.start().await {
                Ok(()) => {
                    announce("The camera is on.");
                    app.rate.set((0.0, 0.0));
                    app.show_state();
                    app.keep_going();
                }
                Err(error) => app.error(&format!("The camera cannot be used: {}", channel::thrown(&error))),
            }
        });
    }

    /// Asks for the next frame, and looks again in a while, because a camera that has just been turned on has none.
    fn keep_going(self: &Rc<Self>) {
        if !self.camera.is_on() {
            return;
        }
        self.next();
        let app = self.clone();
        let again = Closure::once_into_js(move || app.keep_going());
        if let Err(error) = later(&again, WAIT_MS) {
            warn("timer", &error);
        }
    }

    /// Keeps what the camera sees as a picture.
    fn take(self: &Rc<Self>) {
        let frame = shot(&self.camera.video, usize::MAX, true);
        self.camera.stop();
        match frame {
            Ok(Some(pixels)) => self.open_pixels(&pixels, "Camera".into()),
            Ok(None) => self.error("The camera gave no picture yet."),
            Err(error) => self.error(&format!("The camera gave no picture: {}", channel::thrown(&error))),
        }
        self.show_state();
    }
}

/// Listens to the buttons.
///
/// # Errors
/// When index.html lacks one.
pub fn listen(app: &Rc<Restyler>) -> Result<(), JsValue> {
    for id in ["restyle-camera", "restyle-live"] {
        let app = app.clone();
        on(by_id::<HtmlElement>(id)?, "click", move |_: MouseEvent| app.go_live());
    }
    let taker = app.clone();
    on(by_id::<HtmlElement>("restyle-take")?, "click", move |_: MouseEvent| taker.take());
    let stopper = app.clone();
    on(by_id::<HtmlElement>("restyle-off")?, "click", move |_: MouseEvent| {
        stopper.camera.stop();
        stopper.change();
        stopper.show_state();
        announce("The camera is off.");
    });
    Ok(())
}
