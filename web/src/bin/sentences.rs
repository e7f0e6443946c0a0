//! The worker that translates sentences.

fn main() {
    #[cfg(target_arch = "wasm32")]
    web::worker::sentences::start();
}
