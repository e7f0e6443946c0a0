// How much every query looks at every key, before the softmax (Vaswani et al. 2017, arXiv:1706.03762).
//
// Formula result[b, h, t, s] = sum over i of query[b, t, i] key[b, s, i] / sqrt(width) + mask[b, t, s], i over the head's features
// Grid    a thread for every vec4 of the result: four heads
// Layout  query and key in blocks of features, the rows of a batch one after the other; mask too, with `factor` batches of
//         `kernel` rows; result [B, blocks of heads, T, S]. A head's features are whole blocks.

@group(0) @binding(2) var<storage, read> query: array<vec4<real>>;
@group(0) @binding(3) var<storage, read> key: array<vec4<real>>;
#if MASK
@group(0) @binding(4) var<storage, read> mask: array<vec4<real>>;
#end

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let to = position(group, local);
    if (!to.inside) {
        return;
    }
    let width = shape.in_channels / shape.channels;
    let from_query = to.n * shape.height + to.y;
    let from_key = to.n * shape.width + to.x;
    var value = vec4<f32>();
#for lane in 4
    if (to.block * 4 + $lane < shape.channels) {
        let first = (to.block * 4 + $lane) * width / 4;
        for (var i = first; i < first + width / 4; i++) {
            let q = vec4<f32>(query[i * shape.batch * shape.height + from_query]);
            value[$lane] += dot(q, vec4<f32>(key[i * shape.batch * shape.width + from_key]));
        }
    }
#end
    value *= inverseSqrt(f32(width));
#if MASK
    let row = to.n % shape.factor * shape.kernel + to.y % shape.kernel;
    value += f32(mask[to.x / 4 * shape.factor * shape.kernel + row][to.x % 4]);
#end
    finish(value, to.n, to.block, to.y, to.x);
}
