// Convolution with a small window and no stride, whose threads load pixels and weights for each other.
//
// Formula as conv2d
// Grid    a workgroup of $COLUMNS x $STRIPS x $SETS threads for a rectangle of $COLUMNS columns and $STRIPS x $PIXELS rows, and for
//         $SETS x $OUTPUTS blocks of output channels; a thread has $PIXELS rows of one column and $OUTPUTS blocks
// Layout  as conv2d, the window by columns. Workgroup memory holds, of $DEPTH blocks of input channels, the rectangle with the
//         window's border, and the weights of the workgroup's output channels
// Idea    implicit matrix product in tiles (Chetlur et al. 2014, arXiv:1410.0759). A GPU reads workgroup memory in a fraction of
//         the time of the other, and what lies beyond the border is decided once a pixel. Between two barriers a thread computes
//         16 x $PIXELS x $OUTPUTS products for every place of the window and block of channels.

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<real>>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
#end

var<workgroup> picture: array<vec4<real>, $PATCH>;
var<workgroup> weights: array<vec4<real>, $WEIGHTS>;

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let across = (shape.width + $COLUMNS - 1) / $COLUMNS;
    let tiles = (shape.height + $TALL - 1) / $TALL * across;
    let number = workgroup_number(group);
    let output_groups = (shape.blocks + $BLOCKS - 1) / $BLOCKS;
    let n = number / tiles / output_groups;
    let first = number / tiles % output_groups * $BLOCKS;
    // The same for all threads of a workgroup, so that none is missing at a barrier.
    if (n >= shape.batch) {
        return;
    }
    let top = number % tiles / across * $TALL;
    let left = number % tiles % across * $COLUMNS;
    let column = local % $COLUMNS;
    let strip = local / $COLUMNS % $STRIPS;
    let team = local / ($COLUMNS * $STRIPS);
    let x = left + column;
    let y = top + strip * $PIXELS;
    let block = first + team * $OUTPUTS;

#for o in OUTPUTS
#if BIAS
    // A set may be incomplete: its missing blocks repeat the last one, and are not stored.
    let start$o = bias[min(block + $o, shape.blocks - 1)];
#else
    let start$o = vec4<f32>();
#end
#for p in PIXELS
    var sum${p}_$o = start$o;
#end
#end
    for (var c = 0u; c < shape.in_blocks; c += $DEPTH) {
        workgroupBarrier();
        for (var i = local; i < $PATCH; i += $WORKGROUP) {
            let plane = c + i / ($HIGH * $WIDE);
            let row = border(top + i / $WIDE % $HIGH, shape.in_height);
            let column = border(left + i % $WIDE, shape.in_width);
            let v = source[((n * shape.in_blocks + plane) * shape.in_height + row) * shape.in_width + column];
#if REFLECT
            picture[i] = select(vec4<real>(), v, plane < shape.in_blocks);
#else
            picture[i] = select(vec4<real>(), v, plane < shape.in_blocks && row < shape.in_height && column < shape.in_width);
#end
        }
        for (var i = local; i < $WEIGHTS; i += $WORKGROUP) {
            let plane = min(c + i / ($BLOCKS * $WINDOW), shape.in_blocks - 1);
            let from_block = min(first + i / $WINDOW % $BLOCKS, shape.blocks - 1);
            weights[i] = weight[(from_block * shape.in_blocks + plane) * $WINDOW + i % $WINDOW];
        }
        workgroupBarrier();
#if HALF
#for o in OUTPUTS
#for p in PIXELS
        var part${p}_$o = vec4<real>();
#end
#end
#end
        for (var d = 0u; d < $DEPTH; d++) {
            for (var kx = 0u; kx < $KERNEL; kx++) {
                let start = (d * $HIGH + strip * $PIXELS) * $WIDE + column + kx;
#for r in ROWS
                let v$r = picture[start + $r * $WIDE];
#end
                let w = (d * $BLOCKS + team * $OUTPUTS) * $WINDOW + kx * ($KERNEL * 4);
#for o in OUTPUTS
#for k in KERNEL
                let w${o}_$k = w + $o * $WINDOW + $k * 4;
                let m${o}_$k = mat4x4<real>(weights[w${o}_$k], weights[w${o}_$k + 1], weights[w${o}_$k + 2], weights[w${o}_$k + 3]);
#for p in PIXELS
                $SUM${p}_$o += m${o}_$k * v${p+k};
#end
#end
#end
            }
        }
#if HALF
#for o in OUTPUTS
#for p in PIXELS
        sum${p}_$o += vec4<f32>(part${p}_$o);
#end
#end
#end
    }
    if (x < shape.width) {
#for o in OUTPUTS
        if (block + $o < shape.blocks) {
#for p in PIXELS
            if (y + $p < shape.height) {
                finish(sum${p}_$o, n, block + $o, y + $p, x);
            }
#end
        }
#end
    }
}
