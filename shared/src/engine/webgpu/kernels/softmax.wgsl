// Parts of 1 in every row.
//
// Formula result[n, c, y, x] = exp(source[n, c, y, x] - most) / sum over x of the same, most the row's largest
// Grid    a thread for every row of four channels; with JOINT, a workgroup, whose threads share the sum
// Layout  source as the result, in blocks of channels

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
#if JOINT
    let id = workgroup_number(group);
    let first = local;
#else
    let id = workgroup_number(group) * $WORKGROUP + local;
    let first = 0u;
#end
    let plane = id / shape.height;
    let n = plane / shape.blocks;
    if (n >= shape.batch) {
        return;
    }
    let start = id * shape.width;
    var most = vec4<f32>(source[start]);
    for (var x = first; x < shape.width; x += $STEP) {
        most = max(most, vec4<f32>(source[start + x]));
    }
#if JOINT
    most = joined(most, local, true);
#end
    var sum = vec4<f32>();
    for (var x = first; x < shape.width; x += $STEP) {
        // WGSL leaves exp far below zero open; at -80 the result is 1.8e-35.
        sum += exp(max(vec4<f32>(source[start + x]) - most, vec4<f32>(-80.0)));
    }
#if JOINT
    sum = joined(sum, local, false);
#end
    for (var x = first; x < shape.width; x += $STEP) {
        let value = exp(max(vec4<f32>(source[start + x]) - most, vec4<f32>(-80.0))) / sum;
        finish(value, n, plane % shape.blocks, id % shape.height, x);
    }
}
