// One of several tensors, written behind the channels of those before it.
//
// Formula result[n, first + c, y, x] = source[n, c, y, x] for c < lanes, 0 where the source has no channel c
// Grid    a thread for every four channels that are written and every pixel; one dispatch a tensor
// Layout  source in blocks of channels; result too, as [N, blocks, height, width, 4] of real: two tensors may share a block
// Idea    the last tensor's `lanes` reach to the end of the last block, so that no lane keeps what an earlier tensor left there

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let pixels = shape.height * shape.width;
    let id = workgroup_number(group) * $WORKGROUP + local;
    let written = (shape.lanes + 3) / 4;
    let plane = id / pixels;
    let pixel = id % pixels;
    let n = plane / written;
    let block = plane % written;
    if (n >= shape.batch) {
        return;
    }
    var value = vec4<real>();
    if (block < shape.in_blocks) {
        value = source[(n * shape.in_blocks + block) * pixels + pixel];
    }
#for lane in 4
    let c$lane = block * 4 + $lane;
    if (c$lane < shape.lanes) {
        let to = shape.first + c$lane;
        let kept = select(real(), value[$lane], c$lane < shape.in_channels);
        result[((n * shape.blocks + to / 4) * pixels + pixel) * 4 + to % 4] = kept;
    }
#end
}
