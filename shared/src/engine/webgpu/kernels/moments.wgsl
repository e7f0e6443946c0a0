// Sums for mean and variance, of every channel.
//
// Formula result[n, b, part] = sum over the part's pixels of d, result[n, blocks + b, part] = sum of d d,
//         d = source[n, b, pixel] - source[n, b, 0], so that a mean that is large against the deviation costs no digits
// Grid    a thread for every part of every block; part i has the pixels i, i + parts, ..: neighbours load neighbours
// Layout  source in blocks of channels; result [N, 2 blocks, 1, parts] of vec4<f32>, so that `shape.width` is parts
// Idea    many sums and no barrier: a barrier costs a software adapter more than the second kernel, which adds the parts

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let parts = shape.width;
    let id = workgroup_number(group) * $WORKGROUP + local;
    let plane = id / parts;
    let part = id % parts;
    let n = plane / shape.in_blocks;
    let block = plane % shape.in_blocks;
    if (n >= shape.batch) {
        return;
    }
    let pixels = shape.in_height * shape.in_width;
    let start = vec4<f32>(source[plane * pixels]);
    var sum = vec4<f32>();
    var squares = vec4<f32>();
    for (var i = part; i < pixels; i += parts) {
        let d = vec4<f32>(source[plane * pixels + i]) - start;
        sum += d;
        squares += d * d;
    }
    result[(n * shape.blocks + block) * parts + part] = sum;
    result[(n * shape.blocks + shape.in_blocks + block) * parts + part] = squares;
}
