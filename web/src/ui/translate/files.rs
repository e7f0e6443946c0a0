//! Text files: opened, dropped, and saved.

use std::rc::Rc;

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Blob, BlobPropertyBag, DragEvent, File, HtmlElement, HtmlInputElement, MouseEvent, TextDecoder, TextDecoderOptions,
};

use super::{Interpreter, count};
use crate::channel::thrown;
use crate::text;
use crate::ui::dom::{by_id, document, first_file, is_text, on};
use crate::ui::enlarge::save::offer;
use crate::ui::{announce, rooms, set_text};

/// What a translation is called whose text was typed.
const TYPED: &str = "text";

impl Interpreter {
    fn open(self: &Rc<Self>, file: File) {
        let room = self.clone();
        spawn_local(async move {
            let name = file.name();
            let most = usize::try_from(room.source.max_length()).unwrap_or(usize::MAX);
            match read(&file).await {
                Ok(typed) if typed.encode_utf16().count() > most => {
                    room.error(&format!("“{name}” is longer than {most} characters; translate it in parts."));
                }
                Ok(typed) => {
                    room.source.set_value(&typed);
                    set_text("source-count", &count(&typed));
                    announce(&format!("{name} is open."));
                    *room.file.borrow_mut() = Some(name);
                    room.typed(0);
                }
                Err(error) => room.error(&format!("“{name}” cannot be read as text. {}", text::sentence(&thrown(&error)))),
            }
        });
    }

    fn save(&self) {
        let target = self.pairs.model().map(|model| model.target).unwrap_or_default();
        let name = self.file.borrow().clone().unwrap_or_else(|| format!("{TYPED}.txt"));
        let name = text::result_name(&name, &target, "txt");
        let saved = || -> Result<(), JsValue> {
            let options = BlobPropertyBag::new();
            options.set_type("text/plain;charset=utf-8");
            let parts = js_sys::Array::of1(&self.output.text().into());
            offer(&Blob::new_with_str_sequence_and_options(&parts, &options)?, &name)
        };
        match saved() {
            Ok(()) => announce(&format!("{name} is downloaded.")),
            Err(error) => self.error(&format!("The translation was not saved. {}", thrown(&error))),
        }
    }
}

/// The text of a file: UTF-8, UTF-16 with a mark at its beginning, or what Western European Windows wrote.
async fn read(file: &Blob) -> Result<String, JsValue> {
    let buffer: ArrayBuffer = JsFuture::from(file.array_buffer()).await?.unchecked_into();
    let bytes = Uint8Array::new(&buffer).to_vec();
    if bytes.contains(&0) && !bytes.starts_with(&[0xff, 0xfe]) && !bytes.starts_with(&[0xfe, 0xff]) {
        return Err("It holds bytes that no text has".into());
    }
    let decode = |label: &str| -> Result<String, JsValue> {
        let options = TextDecoderOptions::new();
        options.set_fatal(true);
        TextDecoder::new_with_label_and_options(label, &options)?.decode_with_js_u8_array(&Uint8Array::from(&bytes[..]))
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => decode("utf-16le"),
        [0xfe, 0xff, ..] => decode("utf-16be"),
        _ => decode("utf-8").or_else(|_| decode("windows-1252")),
    }
}

/// Listens to what brings and takes files.
///
/// # Errors
/// When index.html lacks an element.
pub fn listen(room: &Rc<Interpreter>) -> Result<(), JsValue> {
    let file: HtmlInputElement = by_id("source-file")?;
    let (input, opener) = (file.clone(), room.clone());
    on(&file, "change", move |_: web_sys::Event| {
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            opener.open(file);
        }
        // So that the same file can be chosen again.
        input.set_value("");
    });
    on(by_id::<HtmlElement>("source-open")?, "click", move |_: MouseEvent| file.click());
    let dropped = room.clone();
    on(document()?, "drop", move |event: DragEvent| {
        let file = event.data_transfer().as_ref().and_then(first_file);
        if let Some(file) = file.filter(|file| rooms::is("translate") && is_text(file)) {
            dropped.open(file);
        }
    });
    let saver = room.clone();
    on(by_id::<HtmlElement>("translate-save")?, "click", move |_: MouseEvent| saver.save());
    Ok(())
}
