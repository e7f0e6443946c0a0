//! Where candle computes.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use candle_core::Device;

/// What `--device` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// CUDA where there is some, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with this number.
    Cuda(usize),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") => Ok(Self::Auto),
            ("cpu", "0") => Ok(Self::Cpu),
            ("cuda", number) => number.parse().map(Self::Cuda).map_err(|_| format!("`{number}` is no number of a device")),
            _ => Err(format!("`{text}` is none of auto, cpu, cuda, cuda:N")),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl Choice {
    /// The device.
    ///
    /// # Errors
    /// When CUDA is asked for and the program was built without it, or there is no such device.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(cuda(0).unwrap_or(Device::Cpu)),
            Self::Cuda(_) if !cfg!(feature = "cuda") => {
                bail!(
                    "this build has no CUDA: build it with `cargo build --release -p trainer --features cuda` where CUDA is installed, `cargo xtask cuda` elsewhere"
                )
            }
            Self::Cuda(number) => cuda(number),
        }
    }
}

fn cuda(number: usize) -> Result<Device> {
    // Loading CUDA's libraries panics where they are missing.
    match std::panic::catch_unwind(|| Device::new_cuda(number)) {
        Ok(device) => Ok(device?),
        Err(_) => bail!("CUDA cannot be started: is there an NVIDIA driver?"),
    }
}
