// Rows by number.
//
// Formula result[i, j] = table[indices[i], j], j over `factor` rows of features that belong together
// Grid    a thread for every vec4 of the result
// Layout  table and result in blocks of features; indices row-major in f32, whole numbers. One beyond the table gives its last row.

@group(0) @binding(2) var<storage, read> table: array<vec4<real>>;
@group(0) @binding(3) var<storage, read> indices: array<f32>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let to = position(group, local);
    if (!to.inside) {
        return;
    }
    let index = u32(max(indices[to.y / shape.factor], 0.0) + 0.5);
    let row = min(index * shape.factor + to.y % shape.factor, shape.in_height - 1);
    finish(vec4<f32>(table[to.block * shape.in_height + row]), to.n, to.block, to.y, to.x);
}
