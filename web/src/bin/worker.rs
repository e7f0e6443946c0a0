//! The worker that holds the engines.

fn main() {
    #[cfg(target_arch = "wasm32")]
    web::worker::start();
}
