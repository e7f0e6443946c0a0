// A product of few rows, as a step of decoding has it: one for every sentence of the beam.
//
// Formula result[r, o] = bias[o] + sum over i of weight[o, i] source[r, i]
// Grid    a workgroup for every block of outputs, for all rows
// Layout  source and result in blocks of features; weight [blocks, in_blocks, 4 of i] of 4 of o, as that of a 1x1 convolution;
//         workgroup memory holds the sums of every thread, $ROWS of them
// Idea    threads for results would be a few hundred, and each would wait for one weight after the other. So the threads of a
//         workgroup share the sum: neighbours load neighbouring weights, each weight once for all rows, and a tree adds what
//         they found.

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<real>>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
#end
var<workgroup> sums: array<vec4<f32>, $SUMS>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let block = workgroup_number(group);
    // The same for all threads of a workgroup, so that none is missing at a barrier.
    if (block >= shape.blocks) {
        return;
    }
#for r in ROWS
    // There may be fewer rows: the last one is repeated, and not stored.
    let row$r = min($r, shape.height - 1);
    var sum$r = vec4<f32>();
#end
    for (var c = local; c < shape.in_blocks; c += $WORKGROUP) {
        let w = (block * shape.in_blocks + c) * 4;
        let m = mat4x4<real>(weight[w], weight[w + 1], weight[w + 2], weight[w + 3]);
#for r in ROWS
        sum$r += vec4<f32>(m * source[c * shape.height + row$r]);
#end
    }
#for r in ROWS
    sums[local * $ROWS + $r] = sum$r;
#end
    for (var count = ${WORKGROUP}u / 2; count > 0; count /= 2) {
        workgroupBarrier();
        for (var i = local; i < count * $ROWS; i += $WORKGROUP) {
            sums[i] += sums[i + count * $ROWS];
        }
    }
    workgroupBarrier();
    if (local < shape.height) {
#if BIAS
        finish(sums[local] + bias[block], 0, block, local, 0);
#else
        finish(sums[local], 0, block, local, 0);
#end
    }
}
