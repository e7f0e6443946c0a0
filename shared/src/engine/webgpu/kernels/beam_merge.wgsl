// How the sentences of a beam go on.
//
// Formula row 0: the words of the $BEAM likeliest continuations, row 1: the sentences that they continue, row 2: their scores, score +
//         log softmax(logit); row 3: log softmax of the end, of every sentence
// Grid    one thread: there is little left to do
// Layout  parts as `beam_parts` wrote them, $BEAM sentences high; scores row-major in f32; the result has a channel a sentence

@group(0) @binding(2) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scores: array<f32>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    if (workgroup_number(group) * $WORKGROUP + local > 0) {
        return;
    }
    var rows: array<array<f32, $BLOCKED>, 4>;
    for (var k = 0u; k < $BEAM; k++) {
        rows[2][k] = -1e30;
    }
    let plane = $BEAM * shape.in_width;
    for (var sentence = 0u; sentence < $BEAM; sentence++) {
        let first = sentence * shape.in_width;
        var largest = -1e30;
        var end = -1e30;
        for (var part = 0u; part < shape.in_width; part++) {
            let rest = parts[$BEAM * plane + first + part];
            largest = max(largest, rest.x);
            end = max(end, rest.z);
        }
        var sum = 0.0;
        for (var part = 0u; part < shape.in_width; part++) {
            let rest = parts[$BEAM * plane + first + part];
            sum += rest.y * exp(max(rest.x - largest, -80.0));
        }
        let normal = largest + log(sum);
        rows[3][sentence] = end - normal;
        for (var part = 0u; part < shape.in_width; part++) {
            for (var i = 0u; i < $BEAM; i++) {
                let word = parts[i * plane + first + part];
                let score = scores[sentence] + word.x - normal;
                // What follows in this part is no likelier.
                if (word.x <= -1e30 || score <= rows[2][$BEAM - 1]) {
                    break;
                }
                var k = $BEAM - 1u;
                while (k > 0 && score > rows[2][k - 1]) {
                    rows[0][k] = rows[0][k - 1];
                    rows[1][k] = rows[1][k - 1];
                    rows[2][k] = rows[2][k - 1];
                    k--;
                }
                rows[0][k] = word.y;
                rows[1][k] = f32(sentence);
                rows[2][k] = score;
            }
        }
    }
    for (var row = 0u; row < 4; row++) {
        for (var block = 0u; block < shape.blocks; block++) {
            var four: vec4<f32>;
            for (var lane = 0u; lane < 4; lane++) {
                four[lane] = rows[row][block * 4 + lane];
            }
            finish(four, 0, block, row, 0);
        }
    }
}
