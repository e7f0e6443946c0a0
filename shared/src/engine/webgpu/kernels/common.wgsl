// What every kernel shares: the sizes, the result and the epilogue.
//
// Layout  tensors are [N, blocks, height, width] of vec4<real>, a block being four channels; a planar result is
//         [N, C, height, width] of f32. A sequence is a picture one pixel wide: features are channels, rows are rows; a planar
//         one is [rows, features]. What is loaded becomes f32 at once, except in convolutions.
// Grid    workgroups of $WORKGROUP threads, numbered over x, then y, because 65,535 in one dimension are not enough.
// Idea    `finish` runs the epilogue on a value that is still in a register (kernel fusion as in TVM, arXiv:1802.04799). A pixel
//         shuffle in it costs nothing but where the four channels are stored.

#if HALF
enable f16;
alias real = f16;
#else
alias real = f32;
#end

struct Shape {
$SHAPE
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> result: array<$RESULT>;
$OPERANDS

fn workgroup_number(group: vec3<u32>) -> u32 {
    return group.y * shape.row + group.x;
}

fn stored(v: vec4<f32>) -> vec4<real> {
#if HALF
    // WGSL leaves open what becomes of more than the largest f16.
    return vec4<real>(clamp(v, vec4<f32>(-65504.0), vec4<f32>(65504.0)));
#else
    return v;
#end
}

fn sigmoid(v: vec4<f32>) -> vec4<f32> {
    // WGSL leaves exp beyond the largest float open; at -80 the result is 1.8e-35, so nothing is lost.
    return 1.0 / (1.0 + exp(-max(v, vec4<f32>(-80.0))));
}

#if JOINT
var<workgroup> parts: array<vec4<f32>, $WORKGROUP>;

// The sum of what the threads of a workgroup have, or the greatest of it, for all of them.
fn joined(part: vec4<f32>, local: u32, greatest: bool) -> vec4<f32> {
    // Whoever still reads the last one may.
    workgroupBarrier();
    parts[local] = part;
    for (var count = ${WORKGROUP}u / 2; count > 0; count /= 2) {
        workgroupBarrier();
        if (local < count) {
            let a = parts[local];
            let b = parts[local + count];
            parts[local] = select(a + b, max(a, b), greatest);
        }
    }
    workgroupBarrier();
    return parts[0];
}
#end

#if CONV
// The place in the source of row or column `i` of the padded, perhaps enlarged source. With zeros for a border it may be outside:
// below zero it wraps around to more than any size.
fn border(i: u32, size: u32) -> u32 {
#if REFLECT
    let from_start = u32(abs(i32(i) - i32(shape.padding)));
    return min(from_start, u32(abs(2 * (i32(size$ENLARGED) - 1) - i32(from_start))))$SHRUNK;
#else
    return (i - shape.padding)$SHRUNK;
#end
}
#end

#if POSITION
// Where in the result a thread writes, for kernels with a thread for every vec4 of it.
struct Position {
    inside: bool,
    n: u32,
    block: u32,
    y: u32,
    x: u32,
}

fn position(group: vec3<u32>, local: u32) -> Position {
    let id = workgroup_number(group) * $WORKGROUP + local;
    let row = id / shape.width;
    let plane = row / shape.height;
    let n = plane / shape.blocks;
    return Position(n < shape.batch, n, plane % shape.blocks, row % shape.height, id % shape.width);
}
#end

#if FINISH
fn finish(value: vec4<f32>, n: u32, block: u32, y: u32, x: u32) {
    var v = value;
    let at = ((n * shape.blocks + block) * shape.height + y) * shape.width + x;
$EPILOGUE
#if SHUFFLE
    // Where a pixel shuffle moves the four channels.
    let to_channels = shape.channels / ($SHUFFLE * $SHUFFLE);
    let to_blocks = (to_channels + 3) / 4;
    let to_height = shape.height * $SHUFFLE;
    let to_width = shape.width * $SHUFFLE;
#for lane in 4
    let from$lane = block * 4 + $lane;
    let c$lane = from$lane / ($SHUFFLE * $SHUFFLE);
    let block$lane = c$lane / 4;
    let y$lane = y * $SHUFFLE + from$lane / $SHUFFLE % $SHUFFLE;
    let x$lane = x * $SHUFFLE + from$lane % $SHUFFLE;
#end
$SHUFFLED
#for lane in 4
#if PLANAR
    if (from$lane < shape.channels) {
        result[((n * to_channels + c$lane) * to_height + y$lane) * to_width + x$lane] = v[$lane];
    }
#else
    result[(((n * to_blocks + block$lane) * to_height + y$lane) * to_width + x$lane) * 4 + c$lane % 4] = stored(v)[$lane];
#end
#end
#else
#if PLANAR
    let first = block * 4;
#for lane in 4
    if (first + $lane < shape.channels) {
#if FEATURES_LAST
        result[y * shape.channels + first + $lane] = v[$lane];
#else
        result[((n * shape.channels + first + $lane) * shape.height + y) * shape.width + x] = v[$lane];
#end
    }
#end
#else
    result[at] = stored(v);
#end
#end
}
#end
