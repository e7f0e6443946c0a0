// The largest value of every window.
//
// Formula result[n, b, y, x] = max over i, j below kernel of source[n, b, y stride + i, x stride + j], where that is inside
// Grid    a thread for every vec4 of the result
// Layout  source [N, blocks, in_height, in_width] of vec4<real>

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let to = position(group, local);
    if (!to.inside) {
        return;
    }
    let plane = (to.n * shape.blocks + to.block) * shape.in_height;
    let top = to.y * shape.stride;
    let left = to.x * shape.stride;
    var largest = vec4<f32>(source[(plane + top) * shape.in_width + left]);
    for (var y = top; y < min(top + shape.kernel, shape.in_height); y++) {
        for (var x = left; x < min(left + shape.kernel, shape.in_width); x++) {
            largest = max(largest, vec4<f32>(source[(plane + y) * shape.in_width + x]));
        }
    }
    finish(largest, to.n, to.block, to.y, to.x);
}
