// One of several sequences, written behind the rows of those before it.
//
// Formula result[b, first + t] = source[b, t]
// Grid    a thread for every vec4 of the source; one dispatch a tensor
// Layout  source and result in blocks of features, `factor` rows of a batch of the result one after the other

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let id = workgroup_number(group) * $WORKGROUP + local;
    let block = id / shape.in_height;
    if (block >= shape.blocks) {
        return;
    }
    let row = id % shape.in_height;
    let length = shape.in_height / (shape.height / shape.factor);
    result[block * shape.height + row / length * shape.factor + shape.first + row % length] = source[id];
}
