//! The binary `trainer`.

use clap::Parser;

// Training allocates and frees the same large tensors every step; the system's allocator gives their pages back each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many threads candle's own element-by-element operations have; convolutions and products have rayon's.
const CANDLE_THREADS: &str = "CANDLE_NUM_THREADS";

fn main() -> anyhow::Result<()> {
    // candle waits for its threads by spinning, so where a core has other work too everything waits for that: a step of `train
    // style` took 2.8 s beside a build and another training, and 0.57 s with one thread.
    if std::env::var_os(CANDLE_THREADS).is_none() {
        // SAFETY: no other thread is there yet that could read the environment.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var(CANDLE_THREADS, "1");
        }
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,wgpu=warn,wgpu_hal=warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).without_time().with_writer(std::io::stderr).init();
    trainer::commands::Cli::parse().run()
}
