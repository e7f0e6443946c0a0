//! Cameras, for every room.

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{HtmlVideoElement, MediaDevices, MediaStream, MediaStreamConstraints, MediaStreamTrack};

use super::dom::{property, window};

/// What gives access to cameras; absent, not only failing, where the address is insecure.
///
/// # Errors
/// Outside of a page.
pub fn devices() -> Result<Option<MediaDevices>, JsValue> {
    Ok(property(&window()?.navigator(), "mediaDevices").map(JsCast::unchecked_into))
}

/// Turns a camera on; what it films goes to `video`, which plays it when it is told to.
///
/// # Errors
/// When the person refuses, or there is none.
pub async fn turn_on(devices: &MediaDevices, video: &HtmlVideoElement) -> Result<(), JsValue> {
    let constraints = MediaStreamConstraints::new();
    constraints.set_video(&JsValue::TRUE);
    let stream: MediaStream = JsFuture::from(devices.get_user_media_with_constraints(&constraints)?).await?.dyn_into()?;
    video.set_src_object(Some(&stream));
    Ok(())
}

/// Turns it off.
pub fn turn_off(video: &HtmlVideoElement) {
    if let Some(stream) = video.src_object() {
        for track in stream.get_tracks().iter() {
            track.unchecked_into::<MediaStreamTrack>().stop();
        }
    }
    video.set_src_object(None);
}
