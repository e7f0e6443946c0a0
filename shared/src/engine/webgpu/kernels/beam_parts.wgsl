// The likeliest words of a part of the vocabulary, for every sentence of a beam.
//
// Formula for k below $BEAM: the k-th largest logit of the part, the end not counted, and its word; then the part's largest logit, the
//         sum of exp(logit - largest), and the logit of the end, if it is here
// Grid    a thread for every part of every sentence; as wide as there are parts
// Layout  logits in blocks of words, a row a sentence; the result is f32 in every precision: a block for each of the $BEAM, and one
// Idea    the sum is renewed as the largest grows (Milakov & Gimelshein 2018, arXiv:1805.02867), so logits are read once

@group(0) @binding(2) var<storage, read> logits: array<vec4<real>>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let id = workgroup_number(group) * $WORKGROUP + local;
    let part = id % shape.width;
    let sentence = id / shape.width;
    if (sentence >= shape.height) {
        return;
    }
    var best: array<f32, $BEAM>;
    var words: array<u32, $BEAM>;
    for (var k = 0u; k < $BEAM; k++) {
        best[k] = -1e30;
    }
    var largest = -1e30;
    var sum = 0.0;
    var end = -1e30;
    let blocks = (shape.in_blocks + shape.width - 1) / shape.width;
    for (var block = part * blocks; block < min((part + 1) * blocks, shape.in_blocks); block++) {
        let four = vec4<f32>(logits[block * shape.height + sentence]);
        for (var lane = 0u; lane < 4; lane++) {
            let word = block * 4 + lane;
            if (word >= shape.in_channels) {
                break;
            }
            let logit = four[lane];
            let larger = max(largest, logit);
            // WGSL leaves exp far below zero open; at -80 it is 1.8e-35.
            sum = sum * exp(max(largest - larger, -80.0)) + exp(max(logit - larger, -80.0));
            largest = larger;
            if (word == shape.first) {
                end = logit;
            } else if (logit > best[$BEAM - 1]) {
                var k = $BEAM - 1u;
                while (k > 0 && logit > best[k - 1]) {
                    best[k] = best[k - 1];
                    words[k] = words[k - 1];
                    k--;
                }
                best[k] = logit;
                words[k] = word;
            }
        }
    }
    let at = sentence * shape.width + part;
    let plane = shape.height * shape.width;
    for (var k = 0u; k < $BEAM; k++) {
        result[k * plane + at] = vec4<f32>(best[k], f32(words[k]), 0.0, 0.0);
    }
    result[$BEAM * plane + at] = vec4<f32>(largest, sum, end, 0.0);
}
