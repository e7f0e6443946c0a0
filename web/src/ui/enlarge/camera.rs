//! A picture from the camera: on a phone by its camera program, elsewhere in a dialog.

use std::rc::Rc;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    HtmlDialogElement, HtmlElement, HtmlInputElement, HtmlVideoElement, ImageData, MediaDeviceInfo, MediaDeviceKind,
    MediaDevices, MouseEvent,
};

use super::Enlarger;
use crate::ui::dom::{by_id, canvas, on, warn, window};
use crate::ui::{camera, show};

/// Shows the button where there is a camera, and listens to it.
///
/// # Errors
/// When index.html lacks an element.
pub fn listen(app: &Rc<Enlarger>) -> Result<(), JsValue> {
    let dialog: HtmlDialogElement = by_id("camera-dialog")?;
    let video: HtmlVideoElement = by_id("camera-video")?;
    // On a phone or a tablet its own program takes better pictures than a page can.
    let touch = window()?.match_media("(pointer: coarse)")?.is_some_and(|query| query.matches());
    if touch {
        show("camera", true);
        let capture: HtmlInputElement = by_id("capture")?;
        on(by_id::<HtmlElement>("camera")?, "click", move |_: MouseEvent| capture.click());
        return Ok(());
    }
    let Some(devices) = camera::devices()? else { return Ok(()) };
    let found = devices.clone();
    spawn_local(async move {
        match has_camera(&found).await {
            Ok(has) => show("camera", has),
            Err(error) => warn("camera", &error),
        }
    });
    let (opener, shown, live) = (app.clone(), dialog.clone(), video.clone());
    on(by_id::<HtmlElement>("camera")?, "click", move |_: MouseEvent| {
        let (app, dialog, video, devices) = (opener.clone(), shown.clone(), live.clone(), devices.clone());
        spawn_local(async move {
            if let Err(error) = open(&devices, &dialog, &video).await {
                app.error(&format!("The camera cannot be used: {}", crate::channel::thrown(&error)));
            }
        });
    });
    let (taker, shown, live) = (app.clone(), dialog.clone(), video.clone());
    on(by_id::<HtmlElement>("camera-shoot")?, "click", move |_: MouseEvent| {
        let frame = shoot(&live);
        shown.close();
        match frame {
            Ok(pixels) => taker.open_pixels(&pixels, "Camera".into()),
            Err(error) => taker.error(&format!("The camera gave no picture: {}", crate::channel::thrown(&error))),
        }
    });
    let shown = dialog.clone();
    on(by_id::<HtmlElement>("camera-cancel")?, "click", move |_: MouseEvent| shown.close());
    // However the dialog is closed, the camera goes off.
    on(&dialog, "close", move |_: web_sys::Event| camera::turn_off(&video));
    Ok(())
}

async fn has_camera(devices: &MediaDevices) -> Result<bool, JsValue> {
    let list: js_sys::Array = JsFuture::from(devices.enumerate_devices()?).await?.dyn_into()?;
    Ok(list.iter().any(|d| d.unchecked_into::<MediaDeviceInfo>().kind() == MediaDeviceKind::Videoinput))
}

async fn open(devices: &MediaDevices, dialog: &HtmlDialogElement, video: &HtmlVideoElement) -> Result<(), JsValue> {
    camera::turn_on(devices, video).await?;
    dialog.show_modal()?;
    JsFuture::from(video.play()?).await.map(drop)
}

fn shoot(video: &HtmlVideoElement) -> Result<ImageData, JsValue> {
    let (width, height) = (video.video_width(), video.video_height());
    if width == 0 || height == 0 {
        return Err("it is not ready yet".into());
    }
    let (_, context) = canvas(width, height)?;
    context.draw_image_with_html_video_element(video, 0.0, 0.0)?;
    context.get_image_data(0.0, 0.0, width.into(), height.into())
}
