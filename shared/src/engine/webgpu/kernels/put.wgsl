// A sequence with one row replaced.
//
// Formula result[b, t] = row[b] where t is the position, source[b, t] elsewhere
// Grid    a thread for every vec4 of the result
// Layout  source, row and result in blocks of features, `factor` rows of a batch one after the other; position one whole number in
//         f32

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;
@group(0) @binding(3) var<storage, read> row: array<vec4<real>>;
@group(0) @binding(4) var<storage, read> place: array<f32>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let to = position(group, local);
    if (!to.inside) {
        return;
    }
    let batches = shape.height / shape.factor;
    var value = vec4<f32>(source[to.block * shape.height + to.y]);
    if (to.y % shape.factor == u32(max(place[0], 0.0) + 0.5)) {
        value = vec4<f32>(row[to.block * batches + to.y / shape.factor]);
    }
    finish(value, to.n, to.block, to.y, to.x);
}
