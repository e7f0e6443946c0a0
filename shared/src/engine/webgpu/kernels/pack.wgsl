// Row-major to blocks of channels.
//
// Formula result[n, b, y, x][lane] = source[n, 4 b + lane, y, x], 0 where there is no such channel
// Grid    a thread for every vec4 of the result
// Layout  source [N, C, H, W] of f32, or, of a sequence, [rows, features]

@group(0) @binding(2) var<storage, read> source: array<f32>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let to = position(group, local);
    if (!to.inside) {
        return;
    }
    var value = vec4<f32>();
#for lane in 4
    if (to.block * 4 + $lane < shape.channels) {
#if FEATURES_LAST
        value[$lane] = source[to.y * shape.channels + to.block * 4 + $lane];
#else
        value[$lane] = source[((to.n * shape.channels + to.block * 4 + $lane) * shape.height + to.y) * shape.width + to.x];
#end
    }
#end
    finish(value, to.n, to.block, to.y, to.x);
}
