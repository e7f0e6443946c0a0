// Instance norm as a factor and a summand for every channel (Ulyanov et al. 2016, arXiv:1607.08022).
//
// Formula factor = weight / sqrt(variance + epsilon), summand = bias - mean factor
// Grid    a thread for every block of channels
// Layout  source as moments.wgsl reads it; moments as it writes them; result [N, 2 blocks] of vec4<f32>, factors before summands

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;
@group(0) @binding(3) var<storage, read> moments: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> weight: array<vec4<$SCALE>>;
@group(0) @binding(5) var<storage, read> bias: array<vec4<$SCALE>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let blocks = shape.blocks / 2;
    let id = workgroup_number(group) * $WORKGROUP + local;
    let n = id / blocks;
    let block = id % blocks;
    if (n >= shape.batch) {
        return;
    }
    let parts = shape.factor;
    let pixels = shape.in_height * shape.in_width;
    let sums = (n * shape.blocks + block) * parts;
    let all_squares = (n * shape.blocks + blocks + block) * parts;
    var sum = vec4<f32>();
    var squares = vec4<f32>();
    for (var i = 0u; i < parts; i++) {
        sum += moments[sums + i];
        squares += moments[all_squares + i];
    }
    let offset = sum / f32(pixels);
    let variance = max(squares / f32(pixels) - offset * offset, vec4<f32>());
    let mean = vec4<f32>(source[(n * blocks + block) * pixels]) + offset;
    let factor = vec4<f32>(weight[block]) / sqrt(variance + $EPSILON);
    result[n * shape.blocks + block] = factor;
    result[n * shape.blocks + blocks + block] = vec4<f32>(bias[block]) - mean * factor;
}
