// Every row of features to mean 0 and variance 1 (Ba et al. 2016, arXiv:1607.06450).
//
// Formula result[r, i] = (source[r, i] - mean) / sqrt(variance + epsilon) weight[i] + bias[i], over the features of row r
// Grid    a thread for every row; with JOINT, a workgroup, whose threads share the sums
// Layout  source and result in blocks of features; lanes behind the last feature are left out of the sums

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;

// What of a block are features, as 1, and what not, as 0.
fn inside(block: u32) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(1.0), vec4<u32>(block * 4) + vec4<u32>(0, 1, 2, 3) < vec4<u32>(shape.channels));
}

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
#if JOINT
    let row = workgroup_number(group);
    let first = local;
#else
    let row = workgroup_number(group) * $WORKGROUP + local;
    let first = 0u;
#end
    if (row >= shape.height) {
        return;
    }
    var sums = vec4<f32>();
    for (var block = first; block < shape.blocks; block += $STEP) {
        sums += vec4<f32>(source[block * shape.height + row]) * inside(block);
    }
#if JOINT
    sums = joined(sums, local, false);
#end
    let mean = dot(sums, vec4<f32>(1.0)) / f32(shape.channels);
    var squares = vec4<f32>();
    for (var block = first; block < shape.blocks; block += $STEP) {
        let d = (vec4<f32>(source[block * shape.height + row]) - mean) * inside(block);
        squares += d * d;
    }
#if JOINT
    squares = joined(squares, local, false);
#end
    let scale = inverseSqrt(dot(squares, vec4<f32>(1.0)) / f32(shape.channels) + $EPSILON);
    for (var block = first; block < shape.blocks; block += $STEP) {
        let value = (vec4<f32>(source[block * shape.height + row]) - mean) * scale;
        finish(value * weight[block] + bias[block], 0u, block, row, 0u);
    }
}
