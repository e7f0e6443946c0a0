//! The device and what belongs to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wgpu::util::DeviceExt;

use super::kernels::Geometry;
use super::memory::Precision;
use super::step::Step;
use super::tuning::{Layer, Tuning};
use crate::{Error, Result};

/// What a program runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterInfo {
    /// The adapter's name as the driver or the browser gives it. Browsers may withhold it.
    pub name: String,
    /// True when the "GPU" is a program on the CPU (lavapipe, SwiftShader): right, but slower than the CPU engine.
    pub software: bool,
    /// `vulkan`, `metal`, `dx12` or `webgpu`.
    pub backend: String,
    /// True when shaders can compute in f16.
    pub f16: bool,
}

/// Most multiply-adds in a submission, where a single dispatch is not more: systems reset a GPU that is busy for seconds with one
/// (Windows after two), and meanwhile it draws nothing. The weakest GPUs manage about 2 * 10^10 a second and need a tenth of a
/// second for these; fast ones need a millisecond, against which a submission costs nothing.
const SUBMISSION_WORK: u64 = 1 << 31;

/// A GPU device, its compiled pipelines, and what went wrong on it.
pub struct Context {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) limits: wgpu::Limits,
    adapter: AdapterInfo,
    geometry: Geometry,
    precision: Precision,
    tuning: Mutex<Tuning>,
    submission_work: u64,
    /// By source. A pipeline does not depend on sizes, so a second picture of another size compiles nothing.
    pipelines: Mutex<HashMap<String, wgpu::ComputePipeline>>,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
struct Faults {
    /// Why the device is gone. It stays gone.
    lost: Option<String>,
    /// The first error that no scope caught since the last report, and whether it was about memory.
    uncaptured: Option<(String, bool)>,
}

impl Context {
    /// Opens the best adapter: a discrete GPU before an integrated one before a software adapter. A GPU that computes in f16 does;
    /// a software adapter would have to convert.
    ///
    /// # Errors
    /// [`Error::Gpu`] when there is no adapter, or it gives no device.
    // On the web wgpu's types belong to one thread; `Arc` serves both, so that the trainer may share a context among threads.
    #[cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]
    pub async fn new() -> Result<Arc<Self>> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let options =
            wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
        let adapter = instance.request_adapter(&options).await.map_err(|e| Error::Gpu(format!("no adapter: {e}")))?;
        // All that the adapter has: buffers of large tiles exceed the default limits.
        let limits = adapter.limits();
        let required_features = adapter.features() & wgpu::Features::SHADER_F16;
        let required_limits = limits.clone();
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor { required_features, required_limits, ..Default::default() })
            .await
            .map_err(|e| Error::Gpu(format!("the adapter gives no device: {e}")))?;
        let info = adapter.get_info();
        let software = info.device_type == wgpu::DeviceType::Cpu;
        let name = match info.name.as_str() {
            "" if software => "software adapter".to_owned(),
            "" => "unnamed adapter".to_owned(),
            name => name.to_owned(),
        };
        let backend = match info.backend {
            wgpu::Backend::BrowserWebGpu => "webgpu".to_owned(),
            other => other.to_string(),
        };
        let f16 = device.features().contains(wgpu::Features::SHADER_F16);
        let faults = Arc::new(Mutex::new(Faults::default()));
        let (uncaptured, lost) = (faults.clone(), faults.clone());
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| {
            log::error!("WebGPU: {e}");
            let memory = matches!(e, wgpu::Error::OutOfMemory { .. });
            lock(&uncaptured).uncaptured.get_or_insert_with(|| (e.to_string(), memory));
        }));
        device.set_device_lost_callback(move |reason, message| {
            lock(&lost).lost.get_or_insert_with(|| format!("the device was lost ({reason:?}): {message}"));
        });
        Ok(Arc::new(Self {
            device,
            queue,
            limits,
            geometry: Geometry::of_adapter(software),
            precision: if f16 && !software { Precision::F16 } else { Precision::F32 },
            tuning: Mutex::default(),
            submission_work: SUBMISSION_WORK,
            adapter: AdapterInfo { name, software, backend, f16 },
            pipelines: Mutex::default(),
            faults,
        }))
    }

    /// What this runs on.
    pub fn adapter(&self) -> &AdapterInfo {
        &self.adapter
    }

    /// How kernels are cut into threads here, where no measurement says it better.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// How the kernel of a step is cut into threads.
    pub(super) fn geometry_of(&self, step: &Step) -> Geometry {
        Layer::of(step).and_then(|layer| lock(&self.tuning).of(&layer)).unwrap_or(self.geometry)
    }

    /// What was measured, or learnt, on this device in this precision.
    pub fn tuning(&self) -> Tuning {
        lock(&self.tuning).clone()
    }

    /// Has plans from now on cut their kernels as was measured before, on the same adapter in the same precision.
    pub fn learn(&self, tuning: &Tuning) {
        lock(&self.tuning).learn(tuning);
    }

    /// What is computed in here.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The same device with another precision.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the adapter has no f16 and that is asked for.
    #[cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]
    pub fn with_precision(&self, precision: Precision) -> Result<Arc<Self>> {
        if precision == Precision::F16 && !self.adapter.f16 {
            return Err(Error::Gpu(format!("`{}` does not compute in f16", self.adapter.name)));
        }
        Ok(Arc::new(Self { precision, ..self.sibling(self.geometry) }))
    }

    /// The same device with another geometry, for tests and measurements: results stay the same.
    #[cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]
    pub fn with_geometry(&self, geometry: Geometry) -> Arc<Self> {
        Arc::new(self.sibling(geometry))
    }

    /// The same device as if it bound at most `bytes` in one buffer, for tests of what happens where memory is short.
    #[cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]
    pub fn with_largest_buffer(&self, bytes: u64) -> Arc<Self> {
        let limits = wgpu::Limits { max_buffer_size: bytes, ..self.limits.clone() };
        Arc::new(Self { limits, ..self.sibling(self.geometry) })
    }

    /// The same device with submissions of at most `work` multiply-adds where dispatches allow it, for tests: results stay the
    /// same.
    #[cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]
    pub fn with_submission_work(&self, work: u64) -> Arc<Self> {
        Arc::new(Self { submission_work: work, ..self.sibling(self.geometry) })
    }

    pub(super) fn submission_work(&self) -> u64 {
        self.submission_work
    }

    fn sibling(&self, geometry: Geometry) -> Self {
        Self {
            device: self.device.clone(),
            queue: self.queue.clone(),
            limits: self.limits.clone(),
            adapter: self.adapter.clone(),
            geometry,
            precision: self.precision,
            tuning: Mutex::default(),
            submission_work: self.submission_work,
            pipelines: Mutex::default(),
            faults: self.faults.clone(),
        }
    }

    /// Whether both are on one device. wgpu's own comparison takes devices of two instances for equal.
    pub(super) fn same_device(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.faults, &other.faults)
    }

    /// Gives the device up at once. Everything that uses it fails with [`Error::Gpu`] from now on.
    pub fn destroy(&self) {
        lock(&self.faults).lost.get_or_insert_with(|| "the device was given up".to_owned());
        self.device.destroy();
    }

    /// How many pipelines were compiled.
    pub fn pipelines(&self) -> usize {
        lock(&self.pipelines).len()
    }

    /// The pipeline of `source`, whose bindings are a uniform, a written buffer and `reads` read buffers, in this order.
    pub(super) fn pipeline(&self, label: &str, source: String, reads: usize) -> wgpu::ComputePipeline {
        let mut pipelines = lock(&self.pipelines);
        if let Some(pipeline) = pipelines.get(&source) {
            return pipeline.clone();
        }
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform), entry(1, storage(false))];
        entries.extend((0..reads as u32).map(|i| entry(2 + i, storage(true))));
        let group = wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries };
        let group = self.device.create_bind_group_layout(&group);
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(label),
            bind_group_layouts: &[Some(&group)],
            immediate_size: 0,
        });
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(source.as_str().into()),
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(label),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            // Plans write every element before they read it, so clearing workgroup memory buys nothing.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        pipelines.insert(source, pipeline.clone());
        pipeline
    }

    /// A buffer that holds `contents` for reading.
    pub(super) fn upload(&self, label: &str, contents: &[u8]) -> Result<wgpu::Buffer> {
        self.fits(label, contents.len() as u64)?;
        let usage = wgpu::BufferUsages::STORAGE;
        Ok(self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some(label), contents, usage }))
    }

    /// The most bytes that one tensor can take here.
    pub fn largest_buffer(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }

    /// Refuses a buffer that this device cannot bind whole.
    pub(super) fn fits(&self, what: &str, bytes: u64) -> Result<()> {
        let most = self.largest_buffer();
        if bytes <= most {
            return Ok(());
        }
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Err(Error::Memory(format!(
            "{what} takes {:.1} MiB, but `{}` binds at most {:.1} MiB in one buffer; use smaller tiles",
            mib(bytes),
            self.adapter.name,
            mib(most)
        )))
    }

    /// Why the device is gone, if it is. It stays gone; [`Context::new`] may find another.
    pub fn lost(&self) -> Option<String> {
        lock(&self.faults).lost.clone()
    }

    /// An error when the device is gone.
    pub(super) fn alive(&self) -> Result<()> {
        self.lost().map_or(Ok(()), |why| Err(Error::Gpu(why)))
    }

    /// What is known about a failure that showed up as `symptom`: the lost device or the first uncaught error is its cause.
    pub(super) fn fault(&self, symptom: &str) -> Error {
        let mut faults = lock(&self.faults);
        let uncaptured = faults.uncaptured.take();
        match (&faults.lost, uncaptured) {
            (Some(why), _) => Error::Gpu(why.clone()),
            (None, Some((cause, memory))) => {
                let words = if symptom.is_empty() { cause } else { format!("{cause}; then: {symptom}") };
                if memory { Error::Memory(words) } else { Error::Gpu(words) }
            }
            (None, None) => Error::Gpu(symptom.to_owned()),
        }
    }

    /// An error when something failed that no scope caught. Natively that is known at once, in a browser only later.
    pub(super) fn check(&self) -> Result<()> {
        self.alive()?;
        let failed = lock(&self.faults).uncaptured.is_some();
        if failed { Err(self.fault("")) } else { Ok(()) }
    }
}

/// Locks; a panic elsewhere leaves this data whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
