//! What is measured: which network, at which size, by which runtime, on what.

use std::fmt;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;

/// What runs a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// This repository's engines.
    Atelier,
    /// onnxruntime-web.
    Ort,
    /// Its other build for WebGPU, measured where it is asked for.
    OrtJspi,
    /// TensorFlow.js.
    Tfjs,
}

impl Runtime {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Atelier, Self::Ort, Self::OrtJspi, Self::Tfjs];

    /// Those that are measured where none are named.
    const USUAL: [Self; 3] = [Self::Atelier, Self::Ort, Self::Tfjs];

    fn runs_on(self, backend: Backend) -> bool {
        self != Self::OrtJspi || backend == Backend::Webgpu
    }

    /// Its own name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Atelier => "Atelier",
            Self::Ort => "onnxruntime-web",
            Self::OrtJspi => "onnxruntime-web, JSPI",
            Self::Tfjs => "TensorFlow.js",
        }
    }

    /// Its name in the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Atelier => "atelier",
            Self::Ort => "ort",
            Self::OrtJspi => "ort-jspi",
            Self::Tfjs => "tfjs",
        }
    }
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// The GPU.
    Webgpu,
    /// The CPU, by WebAssembly.
    #[value(alias = "cpu")]
    Wasm,
}

impl Backend {
    /// Both, in the order of the table.
    pub const ALL: [Self; 2] = [Self::Webgpu, Self::Wasm];

    /// Its name in the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webgpu => "webgpu",
            Self::Wasm => "wasm",
        }
    }
}

/// A kind of network; sizes that suit one are too small or too large for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It enlarges its input.
    Superres,
    /// Its output has its input's size.
    Style,
}

impl Kind {
    /// The sizes to measure where none are asked for, in pixels. `software` is a WebGPU adapter that is a program on the CPU, where
    /// other runtimes need 2 to 12 s for a run of 64 pixels.
    fn sizes(self, backend: Backend, software: bool) -> &'static [usize] {
        match (self, backend) {
            (_, Backend::Webgpu) if software => &[32, 64],
            (Self::Superres, Backend::Webgpu) => &[128, 256],
            (Self::Style, Backend::Webgpu) => &[256, 512],
            (Self::Superres, Backend::Wasm) => &[32, 128],
            (Self::Style, Backend::Wasm) => &[64, 256],
        }
    }

    /// Refuses sizes at which the network cannot run or its output is not of the same size.
    ///
    /// # Errors
    /// When `size` is none of its sizes.
    pub fn accepts(self, size: usize) -> Result<()> {
        let (least, multiple) = match self {
            Self::Superres => (8, 1),
            // Two strides of 2, and a reflection of 4 pixels.
            Self::Style => (16, 4),
        };
        ensure!(
            (least..=2048).contains(&size) && size.is_multiple_of(multiple),
            "a size of {size} pixels: it must be a multiple of {multiple} from {least} to 2048"
        );
        Ok(())
    }
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    /// The network's name.
    pub network: String,
    /// The input is `[1, 3, size, size]`.
    pub size: usize,
    /// What runs it.
    pub runtime: Runtime,
    /// On what.
    pub backend: Backend,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}, {} {}", self.network, self.size, self.runtime.title(), self.backend.name())
    }
}

/// What was asked for; an empty list means everything.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Parts of networks' names.
    pub networks: Vec<String>,
    /// Sizes in pixels.
    pub sizes: Vec<usize>,
    /// Runtimes.
    pub runtimes: Vec<Runtime>,
    /// Backends.
    pub backends: Vec<Backend>,
    /// One size a network.
    pub quick: bool,
}

impl Choice {
    /// Whether a network is wanted.
    pub fn wants(&self, network: &str) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|part| network == part || network.contains(&format!("-{part}")))
    }

    /// Refuses parts of names that no network has.
    ///
    /// # Errors
    /// With the names that there are.
    pub fn check<'a>(&self, networks: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
        for part in &self.networks {
            let one = Self { networks: vec![part.clone()], ..Self::default() };
            if !networks.clone().any(|network| one.wants(network)) {
                bail!("no network `{part}`; there are {}", networks.collect::<Vec<_>>().join(", "));
            }
        }
        Ok(())
    }

    /// The cases, those that must agree one after the other: by network, then by size, then by what computes.
    ///
    /// # Errors
    /// When a network cannot run at a size that was asked for.
    pub fn cases(&self, networks: &[(String, Kind)], software: bool) -> Result<Vec<Case>> {
        let wanted = if self.runtimes.is_empty() { &Runtime::USUAL[..] } else { &self.runtimes };
        let computes = |backend: &Backend| self.backends.is_empty() || self.backends.contains(backend);
        let mut cases = Vec::new();
        for (network, kind) in networks.iter().filter(|(name, _)| self.wants(name)) {
            let sizes = |backend: Backend| match (&self.sizes[..], kind.sizes(backend, software)) {
                ([], all) => all.get(..if self.quick { 1 } else { all.len() }).unwrap_or(all),
                (asked, _) => asked,
            };
            let mut all: Vec<usize> = Backend::ALL.into_iter().filter(computes).flat_map(sizes).copied().collect();
            all.sort_unstable();
            all.dedup();
            for size in all {
                kind.accepts(size).map_err(|error| error.context(format!("{network} cannot be measured")))?;
                for backend in Backend::ALL.into_iter().filter(computes).filter(|backend| sizes(*backend).contains(&size)) {
                    let case = |runtime| Case { network: network.clone(), size, runtime, backend };
                    let chosen = |runtime: &Runtime| wanted.contains(runtime) && runtime.runs_on(backend);
                    cases.extend(Runtime::ALL.into_iter().filter(chosen).map(case));
                }
            }
        }
        ensure!(!cases.is_empty(), "nothing to measure: what was asked for does not go together");
        Ok(cases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks() -> Vec<(String, Kind)> {
        vec![("superres-x4-fast".into(), Kind::Superres), ("sr".into(), Kind::Superres), ("style".into(), Kind::Style)]
    }

    #[test]
    fn cases_follow_the_choice() {
        let all = Choice::default().cases(&networks(), true).unwrap();
        let sizes = |backend, network: &str| -> Vec<usize> {
            let of = |case: &&Case| case.backend == backend && case.network == network && case.runtime == Runtime::Tfjs;
            all.iter().filter(of).map(|case| case.size).collect()
        };
        assert_eq!(sizes(Backend::Webgpu, "sr"), [32, 64]);
        assert_eq!(sizes(Backend::Wasm, "sr"), [32, 128]);
        assert_eq!(sizes(Backend::Wasm, "style"), [64, 256]);
        assert_eq!(all.len(), 3 * 3 * 4);

        let choice = Choice {
            networks: vec!["x4-fast".into()],
            sizes: vec![48],
            runtimes: vec![Runtime::Ort, Runtime::Atelier],
            backends: vec![Backend::Wasm],
            quick: false,
        };
        let cases: Vec<String> = choice.cases(&networks(), true).unwrap().iter().map(Case::to_string).collect();
        assert_eq!(cases, ["superres-x4-fast 48, Atelier wasm", "superres-x4-fast 48, onnxruntime-web wasm"]);
    }

    #[test]
    fn what_must_agree_stands_together() {
        let cases = Choice::default().cases(&networks(), true).unwrap();
        let groups = cases.chunk_by(|a, b| (&a.network, a.size) == (&b.network, b.size)).count();
        assert_eq!(groups, 3 + 3 + 3);
        assert_eq!(cases.iter().filter(|case| (&case.network[..], case.size) == ("sr", 32)).count(), 6);
    }

    #[test]
    fn quick_is_one_size_for_each_backend() {
        let cases = Choice { quick: true, ..Choice::default() }.cases(&networks(), false).unwrap();
        assert_eq!(cases.len(), 3 * 3 * 2);
    }

    #[test]
    fn impossible_wishes_are_refused() {
        let names = || ["superres-x4-fast", "sr", "style"].into_iter();
        let of = |part: &str| Choice { networks: vec![part.into()], ..Choice::default() };
        let error = of("x3").check(names()).unwrap_err().to_string();
        assert!(error.contains("`x3`") && error.contains("superres-x4-fast"), "{error}");
        assert!(of("x4-fast").check(names()).is_ok() && of("sr").check(names()).is_ok());
        assert!(!of("sr").wants("superres-x4-fast"));
        let nowhere = Choice { runtimes: vec![Runtime::OrtJspi], backends: vec![Backend::Wasm], ..Choice::default() };
        assert!(nowhere.cases(&networks(), true).is_err());
        for size in [0, 4, 18, 5000] {
            let error = Choice { sizes: vec![size], ..Choice::default() }.cases(&networks(), true).unwrap_err();
            assert!(format!("{error:#}").contains(&size.to_string()), "{error:#}");
        }
    }
}
