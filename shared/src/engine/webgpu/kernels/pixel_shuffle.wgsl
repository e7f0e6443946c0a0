// Channels rearranged into space (Shi et al. 2016, arXiv:1609.05158).
//
// Formula result[n, c, y, x] = source[n, (c r + y mod r) r + x mod r, y / r, x / r], r = factor; 0 where there is no channel c
// Grid    a thread for every vec4 of the result
// Layout  source [N, in_blocks, in_height, in_width, 4] of real, because the four channels come from four blocks
// Idea    neighbours in x read neighbours in the channel, so a row of the source is read once by one workgroup

@group(0) @binding(2) var<storage, read> source: array<real>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let to = position(group, local);
    if (!to.inside) {
        return;
    }
    let r = shape.factor;
    let plane = shape.in_height * shape.in_width;
    let pixel = to.y / r * shape.in_width + to.x / r;
    let offset = to.y % r * r + to.x % r;
    var value = vec4<f32>();
#for lane in 4
    if (to.block * 4 + $lane < shape.channels) {
        let from$lane = (to.block * 4 + $lane) * r * r + offset;
        value[$lane] = f32(source[((to.n * shape.in_blocks + from$lane / 4) * plane + pixel) * 4 + from$lane % 4]);
    }
#end
    finish(value, to.n, to.block, to.y, to.x);
}
