// Parts of 1 in every row.
//
// Formula result[n, c, y, x] = exp(source[n, c, y, x] - most) / sum over x of the same, most the row's largest
// Grid    a thread for every row of four channels
// Layout  source as the result, in blocks of channels

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let id = workgroup_number(group) * $WORKGROUP + local;
    let plane = id / shape.height;
    let n = plane / shape.blocks;
    if (n >= shape.batch) {
        return;
    }
    let start = id * shape.width;
    var most = vec4<f32>(source[start]);
    for (var x = 1u; x < shape.width; x++) {
        most = max(most, vec4<f32>(source[start + x]));
    }
    var sum = vec4<f32>();
    for (var x = 0u; x < shape.width; x++) {
        // WGSL leaves exp far below zero open; at -80 the result is 1.8e-35.
        sum += exp(max(vec4<f32>(source[start + x]) - most, vec4<f32>(-80.0)));
    }
    for (var x = 0u; x < shape.width; x++) {
        let value = exp(max(vec4<f32>(source[start + x]) - most, vec4<f32>(-80.0))) / sum;
        finish(value, n, plane % shape.blocks, id % shape.height, x);
    }
}
