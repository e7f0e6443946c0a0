//! The worker that enlarges pictures.

fn main() {
    #[cfg(target_arch = "wasm32")]
    web::worker::pictures::start();
}
