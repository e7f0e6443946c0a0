// Every pixel repeated `factor` times in both directions.
//
// Formula result[n, b, y, x] = source[n, b, y / factor, x / factor]
// Grid    a thread for every vec4 of the result
// Layout  source [N, blocks, in_height, in_width] of vec4<real>

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let to = position(group, local);
    if (!to.inside) {
        return;
    }
    let row = (to.n * shape.blocks + to.block) * shape.in_height + to.y / shape.factor;
    finish(vec4<f32>(source[row * shape.in_width + to.x / shape.factor]), to.n, to.block, to.y, to.x);
}
