//! Video files: redrawn frame by frame, however long that takes, and then recorded at the speed at which they are watched.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, ArrayBuffer, Function, Promise};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Blob, BlobEvent, BlobPropertyBag, CanvasCaptureMediaStreamTrack, HtmlCanvasElement, HtmlElement, HtmlVideoElement,
    ImageBitmap, MediaRecorder, MediaRecorderOptions, MouseEvent, Url,
};

use super::live::shot;
use super::{Restyler, Wish};
use crate::messages::pictures::FileFormat;
use crate::ui::dom::{by_id, canvas, context, document, later, now, on, property, warn, window};
use crate::ui::enlarge::save::{offer, to_blob};
use crate::ui::{announce, set_text, show};
use crate::{channel, estimate, text};

/// Frames a second of what is recorded.
const RATE: f64 = 24.0;

/// The longest video, in seconds: its frames wait in memory.
const LONGEST: f64 = 120.0;

/// Quality of a frame that waits.
const QUALITY: f64 = 0.95;

/// Bits a second of the recording: brush strokes are costly to compress.
const BITS: u32 = 8_000_000;

/// What files are recorded as.
const MEDIA_TYPE: &str = "video/webm";

/// Longer than any video; where one does not know its length, the browser finds it there.
const END: f64 = 1e9;

/// How long a browser may look for a frame, in milliseconds.
const PATIENCE: i32 = 10_000;

/// A video.
pub struct Film {
    video: HtmlVideoElement,
    open: RefCell<Option<Open>>,
    /// What is being done, and when it began.
    work: Cell<Option<(Work, f64)>>,
    /// The frame that the worker is to redraw next.
    pub pending: RefCell<Option<(Wish, ArrayBuffer)>>,
    /// What waits for the worker's answer.
    waiting: RefCell<Option<[Function; 2]>>,
}

/// The file that is open.
struct Open {
    name: String,
    address: String,
    frames: usize,
}

/// How far it is.
#[derive(Clone, Copy)]
enum Work {
    /// Frames that are redrawn, of so many.
    Redrawing(usize, usize),
    /// Frames that are recorded, of so many.
    Recording(usize, usize),
}

impl Film {
    /// None is open.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn new() -> Result<Self, JsValue> {
        let video: HtmlVideoElement = document()?.create_element("video")?.unchecked_into();
        video.set_muted(true);
        video.set_preload("auto");
        let (open, work, pending, waiting) = Default::default();
        Ok(Self { video, open, work, pending, waiting })
    }

    /// Whether it is being redrawn.
    pub fn is_running(&self) -> bool {
        self.work.get().is_some()
    }

    /// What a person reads while it is, and how much is done.
    pub fn progress(&self) -> Option<(String, f64)> {
        let (work, began) = self.work.get()?;
        let (verb, done, all) = match work {
            Work::Redrawing(done, all) => ("redrawn", done, all),
            Work::Recording(done, all) => ("recorded", done, all),
        };
        let left = estimate::left((now() - began) / 1e3, done, all).map(|left| format!(" · about {} left", text::about(left)));
        Some((format!("{done} of {all} frames {verb}{}", left.unwrap_or_default()), done as f64 / all.max(1) as f64))
    }

    /// Closes the file.
    pub fn close(&self) {
        self.stop();
        show("restyle-film", false);
        if let Some(Open { address, .. }) = self.open.take() {
            self.video.set_src("");
            if let Err(error) = Url::revoke_object_url(&address) {
                warn("address", &error);
            }
        }
    }

    /// Ends what is being done.
    pub fn stop(&self) {
        self.work.set(None);
        self.pending.take();
        self.answer(Err("stopped"));
    }

    /// The worker has redrawn the frame, or could not.
    pub fn answer(&self, result: Result<(), &str>) {
        let Some([resolve, reject]) = self.waiting.take() else { return };
        let told = match result {
            Ok(()) => resolve.call0(&JsValue::NULL),
            Err(why) => reject.call1(&JsValue::NULL, &why.into()),
        };
        if let Err(error) = told {
            warn("frame", &error);
        }
    }

    /// Shows what there is at a time, in seconds.
    async fn seek(&self, time: f64) -> Result<(), JsValue> {
        let found = Promise::new(&mut |resolve, reject| {
            self.video.set_onseeked(Some(&resolve));
            self.video.set_onerror(Some(&reject));
            self.video.set_current_time(time);
            let _ = later(&reject, PATIENCE);
        });
        JsFuture::from(found).await.map(drop).map_err(|_| "The browser cannot play it".into())
    }

    /// Opens a file; how long it is, in seconds.
    async fn load(&self, address: &str) -> Result<f64, JsValue> {
        let found = Promise::new(&mut |resolve, reject| {
            self.video.set_onloadeddata(Some(&resolve));
            self.video.set_onerror(Some(&reject));
            self.video.set_src(address);
            let _ = later(&reject, PATIENCE);
        });
        JsFuture::from(found).await.map_err(|_| JsValue::from_str("The browser cannot play it"))?;
        if !self.video.duration().is_finite() {
            self.seek(END).await?;
        }
        let length = self.video.duration();
        let length = if length.is_finite() { length } else { self.video.current_time() };
        self.seek(0.0).await?;
        if length > LONGEST {
            return Err(format!("It is longer than {LONGEST} seconds").as_str().into());
        }
        Ok(length)
    }
}

impl Restyler {
    /// Opens a video file: its first frame becomes the picture.
    pub fn open_film(self: &Rc<Self>, file: Blob, name: String) {
        let app = self.clone();
        app.film.close();
        app.error("");
        spawn_local(async move {
            let opened = async {
                let address = Url::create_object_url_with_blob(&file)?;
                let length = app.film.load(&address).await;
                let frames = length.as_ref().map_or(1, |length| ((length * RATE) as usize).max(1));
                *app.film.open.borrow_mut() = Some(Open { name: name.clone(), address, frames });
                length?;
                let first = shot(&app.film.video, usize::MAX, false)?.ok_or("It has no frame")?;
                app.give_pixels(&first, name.clone(), true);
                let seconds = text::about(frames as f64 / RATE);
                set_text("restyle-film", &format!("Restyle all {frames} frames of {seconds}"));
                show("restyle-film", true);
                Ok::<_, JsValue>(())
            };
            if let Err(error) = opened.await {
                app.film.close();
                app.error(&format!("“{name}” cannot be opened as a video. {}", text::sentence(&channel::thrown(&error))));
            }
        });
    }

    fn start_film(self: &Rc<Self>) {
        let Some((name, frames)) = self.film.open.borrow().as_ref().map(|open| (open.name.clone(), open.frames)) else { return };
        if self.film.is_running() {
            return;
        }
        let app = self.clone();
        spawn_local(async move {
            app.error("");
            app.film.work.set(Some((Work::Redrawing(0, frames), now())));
            app.show_state();
            let recorded = app.redraw_film(frames).await;
            let stopped = !app.film.is_running();
            app.film.stop();
            app.show_state();
            let name = text::result_name(&name, "restyled", "webm");
            match recorded.and_then(|file| offer(&file, &name)) {
                Ok(()) => announce(&format!("{name} is downloaded.")),
                Err(_) if stopped => {}
                Err(error) => app.error(&format!("The video was not redrawn. {}", text::sentence(&channel::thrown(&error)))),
            }
            // What was changed meanwhile.
            app.next();
        });
    }

    async fn redraw_film(self: &Rc<Self>, frames: usize) -> Result<Blob, JsValue> {
        if property(window()?.as_ref(), "MediaRecorder").is_none() {
            return Err("This browser cannot record videos".into());
        }
        // What is chosen meanwhile is for the next time.
        let wish = self.controls.wish();
        let result: HtmlCanvasElement = by_id("restyle-result")?;
        let began = now();
        let mut redrawn = Vec::with_capacity(frames);
        for number in 0..frames {
            self.film.seek(number as f64 / RATE).await?;
            // It may have been stopped meanwhile.
            self.film_works(Work::Redrawing(number, frames), began)?;
            let frame = shot(&self.film.video, self.controls.side_of_frames(), false)?.ok_or("It has no frame")?;
            let wish = Wish { frame: Some([frame.width() as usize, frame.height() as usize]), side: 0, ..wish.clone() };
            *self.film.pending.borrow_mut() = Some((wish, channel::buffer(&frame.data())));
            let answered = Promise::new(&mut |resolve, reject| *self.film.waiting.borrow_mut() = Some([resolve, reject]));
            self.next();
            JsFuture::from(answered).await?;
            redrawn.push(to_blob(&result, FileFormat::WebP, Some(QUALITY)).await?);
            self.film_works(Work::Redrawing(number + 1, frames), began)?;
        }
        let film = self.record_film(&redrawn, [result.width(), result.height()]).await?;
        // The picture is the first frame.
        if let Some(first) = redrawn.first() {
            draw_frame(&result, first).await?;
        }
        Ok(film)
    }

    /// Plays the frames to a recorder, which takes the time at which a frame comes for the time at which it is to be shown.
    async fn record_film(&self, frames: &[Blob], [width, height]: [u32; 2]) -> Result<Blob, JsValue> {
        let (canvas, _) = canvas(width, height)?;
        let stream = canvas.capture_stream_with_frame_request_rate(0.0)?;
        let track: CanvasCaptureMediaStreamTrack = stream.get_video_tracks().get(0).dyn_into()?;
        let options = MediaRecorderOptions::new();
        options.set_mime_type(MEDIA_TYPE);
        options.set_video_bits_per_second(BITS);
        let recorder = MediaRecorder::new_with_media_stream_and_media_recorder_options(&stream, &options)?;
        let parts = Array::new();
        let kept = parts.clone();
        let heard = Closure::<dyn FnMut(BlobEvent)>::new(move |event: BlobEvent| {
            if let Some(part) = event.data() {
                kept.push(&part);
            }
        });
        recorder.set_ondataavailable(Some(heard.as_ref().unchecked_ref()));
        recorder.start()?;
        let began = now();
        for (number, frame) in frames.iter().enumerate() {
            draw_frame(&canvas, frame).await?;
            track.request_frame();
            let due = began + (number + 1) as f64 * 1e3 / RATE;
            wait((due - now()).max(0.0) as i32).await?;
            self.film_works(Work::Recording(number + 1, frames.len()), began)?;
        }
        let ended = Promise::new(&mut |resolve, _| recorder.set_onstop(Some(&resolve)));
        recorder.stop()?;
        JsFuture::from(ended).await?;
        let options = BlobPropertyBag::new();
        options.set_type(MEDIA_TYPE);
        Blob::new_with_blob_sequence_and_options(&parts, &options)
    }

    /// Tells how far it is.
    ///
    /// # Errors
    /// When it was stopped.
    fn film_works(&self, work: Work, began: f64) -> Result<(), JsValue> {
        if !self.film.is_running() {
            return Err("stopped".into());
        }
        self.film.work.set(Some((work, began)));
        self.show_state();
        Ok(())
    }
}

async fn draw_frame(canvas: &HtmlCanvasElement, frame: &Blob) -> Result<(), JsValue> {
    let bitmap: ImageBitmap = JsFuture::from(window()?.create_image_bitmap_with_blob(frame)?).await?.dyn_into()?;
    context(canvas)?.draw_image_with_image_bitmap(&bitmap, 0.0, 0.0)?;
    bitmap.close();
    Ok(())
}

async fn wait(milliseconds: i32) -> Result<(), JsValue> {
    let over = Promise::new(&mut |resolve, reject| {
        if let Err(error) = later(&resolve, milliseconds) {
            // A promise that is already settled ignores this.
            let _ = reject.call1(&JsValue::NULL, &error);
        }
    });
    JsFuture::from(over).await.map(drop)
}

/// Listens to the button.
///
/// # Errors
/// When index.html lacks it.
pub fn listen(app: &Rc<Restyler>) -> Result<(), JsValue> {
    let starter = app.clone();
    on(by_id::<HtmlElement>("restyle-film")?, "click", move |_: MouseEvent| starter.start_film());
    Ok(())
}
