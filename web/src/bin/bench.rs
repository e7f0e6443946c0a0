//! Atelier as `cargo xtask bench` measures it: the engines alone, built like the worker, with the two calls of every runtime
//! that is measured, load and run.

#[cfg(target_arch = "wasm32")]
mod runtime {
    use candle_core::Device;
    use js_sys::Error;
    use shared::checkpoint::Checkpoint;
    use shared::engine::webgpu::Context;
    use shared::session::{Engine, Session};
    use wasm_bindgen::prelude::wasm_bindgen;

    /// A loaded network.
    #[wasm_bindgen]
    pub struct Network(Session);

    #[wasm_bindgen]
    impl Network {
        /// The network of a checkpoint, a safetensors file's content, on `webgpu` or `wasm`.
        ///
        /// # Errors
        /// When there is no such engine, or the file is not such a checkpoint.
        pub async fn load(checkpoint: &[u8], backend: &str) -> Result<Self, Error> {
            let checkpoint = Checkpoint::from_bytes(checkpoint).map_err(error)?;
            let engine = match backend {
                "webgpu" => Engine::WebGpu(Context::new().await.map_err(error)?),
                "wasm" => Engine::Candle(Device::Cpu),
                other => return Err(Error::new(&format!("no such backend: {other}"))),
            };
            Session::new(&checkpoint, engine).map(Self).map_err(error)
        }

        /// Planar RGB `[3, height, width]` through the network, one of many styles in its first.
        ///
        /// # Errors
        /// The engine's.
        pub async fn run(&self, input: &[f32], height: usize, width: usize) -> Result<Vec<f32>, Error> {
            let mut mixture = vec![0.0; self.0.config().styles()];
            if let Some(first) = mixture.first_mut() {
                *first = 1.0;
            }
            self.0.restyle(input, height, width, &mixture).await.map_err(error)
        }
    }

    fn error(error: shared::Error) -> Error {
        Error::new(&error.to_string())
    }
}

fn main() {
    #[cfg(target_arch = "wasm32")]
    console_error_panic_hook::set_once();
}
