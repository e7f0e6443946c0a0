//! A recording made ready for one size: buffers, pipelines, bind groups.

use std::cell::RefCell;
use std::sync::Arc;

use futures_channel::oneshot;

use super::kernels::{self, Geometry, Shape};
use super::lower::lower;
use super::memory::place;
use super::step::{Step, Value};
use super::{Context, GpuTensor};
use crate::{Error, Result, Tensor};

/// Computes outputs from inputs of fixed dimensions, as often as wanted.
///
/// A run is one submission: write the input, dispatch every step in one compute pass, copy the output for reading. What is much
/// work is cut into several; nothing waits between them.
pub struct Plan {
    context: Arc<Context>,
    pub(super) inputs: Vec<Given>,
    pub(super) outputs: Vec<Given>,
    pub(super) steps: Vec<Step>,
    /// What every step writes.
    results: Vec<wgpu::Buffer>,
    submissions: Vec<Vec<Dispatch>>,
    memory: u64,
    /// Buffers for reading back that no run uses at the moment. A run that is dropped halfway takes its own with it.
    idle: RefCell<Vec<wgpu::Buffer>>,
}

/// A row-major buffer of f32.
pub(super) struct Given {
    pub buffer: wgpu::Buffer,
    pub elements: usize,
}

impl Given {
    pub fn bytes(&self) -> u64 {
        (self.elements * size_of::<f32>()) as u64
    }
}

/// One kernel on its buffers.
pub(super) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    groups: [u32; 2],
}

impl Plan {
    /// Prepares to compute `output` from `input`, which [`GpuTensor::input`] made.
    ///
    /// # Errors
    /// [`Error::Shape`] when a tensor is empty or `output` needs another input; [`Error::Memory`] when a tensor is larger than
    /// what the device binds in one buffer, or memory is short; [`Error::Gpu`] when the device fails.
    pub fn new(context: &Arc<Context>, input: &GpuTensor, output: &GpuTensor) -> Result<Self> {
        Self::of(context, &[input], &[output])
    }

    /// The same for many.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of(context: &Arc<Context>, inputs: &[&GpuTensor], outputs: &[&GpuTensor]) -> Result<Self> {
        context.alive()?;
        let steps = lower(inputs, outputs)?;
        let placement = place(&steps, context.precision());
        let buffer = |label: &str, size, usage| -> Result<wgpu::Buffer> {
            context.fits(label, size)?;
            let label = Some(label);
            Ok(context.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false }))
        };
        let storage = wgpu::BufferUsages::STORAGE;
        let elements = |tensor: &GpuTensor| tensor.dims().iter().product::<usize>();
        let mut given = Vec::with_capacity(inputs.len());
        for input in inputs {
            let (label, elements) = (format!("the input {:?}", input.dims()), elements(input));
            let buffer = buffer(&label, (elements * size_of::<f32>()) as u64, storage | wgpu::BufferUsages::COPY_DST)?;
            given.push(Given { buffer, elements });
        }
        let mut slots = Vec::with_capacity(placement.sizes.len());
        for (slot, &size) in placement.sizes.iter().enumerate() {
            let of = |&i: &usize| placement.slots[i] == slot;
            let largest = (0..steps.len()).filter(of).max_by_key(|&i| steps[i].dims.iter().product::<usize>());
            let label = format!("a tensor {:?}", largest.map(|i| steps[i].dims).unwrap_or_default());
            slots.push(buffer(&label, size, storage | wgpu::BufferUsages::COPY_SRC)?);
        }
        let results: Vec<wgpu::Buffer> = placement.slots.iter().map(|&slot| slots[slot].clone()).collect();
        let written = |number| steps.iter().position(|step| step.output == Some(number)).map(|i| results[i].clone());
        let wanted = outputs.iter().enumerate().map(|(number, output)| {
            let buffer = written(number).ok_or_else(|| Error::Gpu("internal: no output".into()))?;
            Ok(Given { buffer, elements: elements(output) })
        });
        let outputs = wanted.collect::<Result<Vec<_>>>()?;
        let memory = placement.sizes.iter().sum::<u64>() + given.iter().chain(&outputs).map(Given::bytes).sum::<u64>();
        let (context, idle) = (context.clone(), RefCell::default());
        let mut plan = Self { context, inputs: given, outputs, steps, results, submissions: vec![], memory, idle };
        plan.submissions = plan.cut()?;
        if cfg!(not(target_arch = "wasm32")) {
            plan.context.check()?;
        }
        Ok(plan)
    }

    /// The dispatches of every submission.
    fn cut(&self) -> Result<Vec<Vec<Dispatch>>> {
        let context = &self.context;
        let most = context.limits.max_compute_workgroups_per_dimension;
        // Step, which of its dispatches, sizes and grid.
        let mut all: Vec<(usize, usize, Shape, [u32; 2])> = Vec::new();
        let geometries: Vec<Geometry> = self.steps.iter().map(|step| context.geometry_of(step)).collect();
        for (i, (step, &geometry)) in self.steps.iter().zip(&geometries).enumerate() {
            let parts = kernels::dispatches(step, geometry, most)?;
            all.extend(parts.into_iter().enumerate().map(|(part, (shape, groups))| (i, part, shape, groups)));
        }
        let shapes = Shapes::new(context, all.iter().map(|(.., shape, _)| shape));
        let mut submissions: Vec<Vec<Dispatch>> = Vec::new();
        // What the last submission still takes.
        let mut room = 0;
        for (number, &(i, part, _, groups)) in all.iter().enumerate() {
            let step = &self.steps[i];
            let dispatch = dispatch(context, step, geometries[i], &self.tensors(i, part)?, shapes.binding(number), groups)?;
            let load = kernels::work(step, part);
            match submissions.last_mut() {
                Some(submission) if load <= room => {
                    submission.push(dispatch);
                    room -= load;
                }
                _ => {
                    submissions.push(vec![dispatch]);
                    room = context.submission_work().saturating_sub(load);
                }
            }
        }
        Ok(submissions)
    }

    /// What dispatch `part` of step `i` writes, and then what it reads.
    pub(super) fn tensors(&self, i: usize, part: usize) -> Result<Vec<wgpu::Buffer>> {
        let mut tensors = vec![self.results[i].clone()];
        for value in kernels::reads(&self.steps[i], part) {
            tensors.push(match value {
                Value::Input(number) => self.inputs[*number].buffer.clone(),
                Value::Constant(tensor, packing) => tensor.buffer(&self.context, *packing)?,
                Value::Step(read) => self.results[*read].clone(),
            });
        }
        Ok(tensors)
    }

    /// Has the device compile what a plan for `output` would run. The context keeps it, so that a later plan, of any size and with
    /// any parameters, finds it compiled; in a browser this does not wait.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn compile(context: &Context, inputs: &[&GpuTensor], output: &GpuTensor) -> Result<()> {
        context.alive()?;
        let compile = |step: &Step| pipeline(context, step, context.geometry_of(step)).map(drop);
        lower(inputs, &[output])?.iter().try_for_each(compile)?;
        // Chromium keeps calls back until something is submitted.
        context.queue.submit([]);
        Ok(())
    }

    /// Kernels that a run dispatches.
    pub fn dispatches(&self) -> usize {
        self.submissions.iter().map(Vec::len).sum()
    }

    /// Submissions that a run is cut into.
    pub fn submissions(&self) -> usize {
        self.submissions.len()
    }

    /// Bytes of GPU memory for tensors, the weights not counted.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Computes the first output of `values`, the first input, both row-major.
    ///
    /// Natively this blocks until the GPU is done; in a browser it yields. Runs may overlap, and may be dropped at any point.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are more or fewer values than the input holds; [`Error::Gpu`] when the device fails or is
    /// lost.
    pub async fn run(&self, values: &[f32]) -> Result<Vec<f32>> {
        let Some(output) = self.outputs.first() else { return Ok(vec![]) };
        self.fits(0, values)?;
        self.read(output.bytes(), |staging| {
            self.write(0, values);
            self.submit(|encoder| encoder.copy_buffer_to_buffer(&output.buffer, 0, staging, 0, output.bytes()));
        })
        .await
    }

    /// Gives the next run an input.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are more or fewer values than the input holds.
    pub fn give(&self, input: usize, values: &[f32]) -> Result<()> {
        self.fits(input, values)?;
        self.write(input, values);
        Ok(())
    }

    /// Refuses values that an input does not hold.
    fn fits(&self, input: usize, values: &[f32]) -> Result<()> {
        match self.inputs.get(input).map_or(0, |input| input.elements) {
            elements if elements == values.len() => Ok(()),
            elements => Err(Error::shape("run", format!("{} values, the plan takes {elements}", values.len()))),
        }
    }

    /// Writes an input that [`Plan::fits`].
    fn write(&self, input: usize, values: &[f32]) {
        if let Some(input) = self.inputs.get(input) {
            self.context.queue.write_buffer(&input.buffer, 0, bytemuck::cast_slice(values));
        }
    }

    /// Has `submit` fill a buffer of `size` bytes, and reads it.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub(super) async fn read(&self, size: u64, submit: impl FnOnce(&wgpu::Buffer)) -> Result<Vec<f32>> {
        let context = &self.context;
        context.alive()?;
        let kept = self.idle.borrow_mut().pop().filter(|staging| staging.size() == size);
        let staging = kept.unwrap_or_else(|| {
            context.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("read-back"),
                size,
                usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                mapped_at_creation: false,
            })
        });
        // Nothing between these scopes waits, so overlapping runs neither mix their scopes nor their input.
        let memory = context.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = context.device.push_error_scope(wgpu::ErrorFilter::Validation);
        submit(&staging);
        let failures = (validation.pop(), memory.pop());

        let (sender, mapped) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody listens when the run was dropped.
            let _ = sender.send(result);
        });
        #[cfg(not(target_arch = "wasm32"))]
        context.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|e| context.fault(&e.to_string()))?;
        let (validation, memory) = (failures.0.await, failures.1.await);
        if let Some(failure) = validation {
            return Err(context.fault(&failure.to_string()));
        }
        if let Some(failure) = memory {
            return Err(Error::Memory(failure.to_string()));
        }
        match mapped.await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(context.fault(&format!("reading back failed: {e}"))),
            Err(_) => return Err(context.fault("reading back was given up")),
        }
        context.alive()?;
        let values = {
            let bytes = staging.get_mapped_range(..).map_err(|e| context.fault(&format!("reading back failed: {e}")))?;
            // Copied byte by byte: a browser promises no alignment.
            bytemuck::pod_collect_to_vec(&bytes)
        };
        staging.unmap();
        self.idle.borrow_mut().push(staging);
        Ok(values)
    }

    /// Submits a run; `then` is encoded behind it.
    pub(super) fn submit(&self, then: impl FnOnce(&mut wgpu::CommandEncoder)) {
        let Context { device, queue, .. } = &*self.context;
        let mut then = Some(then);
        for (submission, number) in self.submissions.iter().zip(1..) {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            Self::encode(submission, &mut encoder);
            if number == self.submissions.len()
                && let Some(then) = then.take()
            {
                then(&mut encoder);
            }
            queue.submit([encoder.finish()]);
        }
    }

    pub(super) fn encode<'a>(dispatches: impl IntoIterator<Item = &'a Dispatch>, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for Dispatch { pipeline, bindings, groups: [x, y] } in dispatches {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, bindings, &[]);
            pass.dispatch_workgroups(*x, *y, 1);
        }
    }

    /// Encodes a whole run, for those who encode several for one submission.
    pub(super) fn encode_all(&self, encoder: &mut wgpu::CommandEncoder) {
        self.submissions.iter().for_each(|dispatches| Self::encode(dispatches, encoder));
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }
}

fn pipeline(context: &Context, step: &Step, geometry: Geometry) -> Result<wgpu::ComputePipeline> {
    let source = kernels::source(step, geometry, context.precision())?;
    // The dispatches of a step differ in what they read, not in how much.
    Ok(context.pipeline(kernels::name(step), source, kernels::reads(step, 0).count()))
}

/// A step on `tensors`, what it writes first, with the sizes in `shape`.
pub(super) fn dispatch(
    context: &Context,
    step: &Step,
    geometry: Geometry,
    tensors: &[wgpu::Buffer],
    shape: wgpu::BindingResource,
    groups: [u32; 2],
) -> Result<Dispatch> {
    let pipeline = pipeline(context, step, geometry)?;
    let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: shape }];
    let tensors = (1..).zip(tensors);
    entries.extend(tensors.map(|(binding, b)| wgpu::BindGroupEntry { binding, resource: b.as_entire_binding() }));
    let layout = pipeline.get_bind_group_layout(0);
    let bindings = wgpu::BindGroupDescriptor { label: Some(kernels::name(step)), layout: &layout, entries: &entries };
    let bindings = context.device.create_bind_group(&bindings);
    Ok(Dispatch { pipeline, bindings, groups })
}

/// The sizes that every dispatch reads, in one uniform buffer.
pub(super) struct Shapes {
    buffer: wgpu::Buffer,
    stride: u64,
}

impl Shapes {
    pub fn new<'a>(context: &Context, shapes: impl ExactSizeIterator<Item = &'a Shape>) -> Self {
        let size = size_of::<Shape>() as u64;
        let stride = size.next_multiple_of(u64::from(context.limits.min_uniform_buffer_offset_alignment).max(1));
        let buffer = context.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("shapes"),
            size: stride * shapes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        for (i, shape) in (0..).zip(shapes) {
            context.queue.write_buffer(&buffer, stride * i, bytemuck::bytes_of(shape));
        }
        Self { buffer, stride }
    }

    pub fn binding(&self, number: usize) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: self.stride * number as u64,
            size: wgpu::BufferSize::new(size_of::<Shape>() as u64),
        })
    }
}
