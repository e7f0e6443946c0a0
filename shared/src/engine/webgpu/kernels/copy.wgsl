// Its input as it is: the epilogue is what matters.
//
// Formula result[i] = epilogue(source[i])
// Grid    a thread for every vec4 of the result
// Layout  source as the result, in blocks of channels

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let to = position(group, local);
    if (!to.inside) {
        return;
    }
    let at = ((to.n * shape.blocks + to.block) * shape.height + to.y) * shape.width + to.x;
    finish(vec4<f32>(source[at]), to.n, to.block, to.y, to.x);
}
