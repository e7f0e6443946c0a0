// Means of values by attention's weights (Vaswani et al. 2017, arXiv:1706.03762).
//
// Formula result[b, t, i] = sum over s of weights[b, h, t, s] values[b, s, i], h the head that feature i belongs to
// Grid    a thread for every vec4 of the result: four features
// Layout  weights [B, blocks of heads, T, S]; values and result in blocks of features, the rows of a batch one after the other. A
//         head's features are whole blocks.

@group(0) @binding(2) var<storage, read> weights: array<vec4<real>>;
@group(0) @binding(3) var<storage, read> values: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let to = position(group, local);
    if (!to.inside) {
        return;
    }
    let head = to.block * 4 / (shape.channels / shape.in_channels);
    let batch = to.y / shape.in_height;
    let batches = shape.height / shape.in_height;
    let row = ((batch * shape.in_blocks + head / 4) * shape.in_height + to.y % shape.in_height) * shape.in_width;
    let first = (to.block * batches + batch) * shape.in_width;
    var value = vec4<f32>();
    for (var s = 0u; s < shape.in_width; s++) {
        value += f32(weights[row + s][head % 4]) * vec4<f32>(values[first + s]);
    }
    finish(value, to.n, to.block, to.y, to.x);
}
