// Convolution, any window, any stride; what lies beyond the border is zero or mirrored.
//
// Formula result[n, o, y, x] = bias[o] + sum over c, ky, kx of
//         weight[o, c, ky, kx] * source[n, c, (stride y + ky - padding) / enlarged, (stride x + kx - padding) / enlarged]
// Grid    a thread for $PIXELS rows of one column and $OUTPUTS blocks of output channels; a workgroup has one set of output
//         channels, so that all of its threads load the same weights. With SHARED, a workgroup of COLUMNS x STRIPS x SETS threads
//         for a rectangle of COLUMNS columns and STRIPS x $PIXELS rows, and for SETS x $OUTPUTS blocks of output channels
// Layout  source [N, in_blocks, in_height, in_width] of vec4<real>; weight [blocks, in_blocks, kernel, kernel, 4 of C] of 4 of O, the
//         window by rows, or by columns where SLIDE is. With SHARED, workgroup memory holds, of DEPTH blocks of input channels,
//         the rectangle with the window's border, and the weights of the workgroup's output channels
// Idea    register blocking (Volkov & Demmel 2008), without workgroup memory where SHARED is not: a load of $PIXELS pixels and 4 x $OUTPUTS weights
//         serves 4 x $PIXELS x $OUTPUTS products of vec4, and neighbouring threads load neighbouring pixels. With SLIDE, for
//         stride 1 and a small window, the rows of a thread slide along a column of it: $PIXELS + kernel - 1 loads of pixels
//         serve $PIXELS x kernel products. Other windows are rolled loops: unrolled, SwiftShader compiles for seconds.
//         SHARED, for the windows of SLIDE, is an implicit matrix product in tiles (Chetlur et al. 2014, arXiv:1410.0759), whose
//         threads load for each other. A GPU reads workgroup memory in a fraction of the time of the other, and what lies beyond
//         the border is decided once a pixel.
//         In f16 (HALF), products of one small window or of a row of a larger one are summed, 36 of 3x3 or 9x9, and their sum is
//         added in f32: a whole sum in f16 would lose digits, and one product at a time would gain no speed.
//         An enlarged source (Odena et al. 2016, doi:10.23915/distill.00003) is never stored: its pixels are loaded repeatedly.

@group(0) @binding(2) var<storage, read> source: array<vec4<real>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<real>>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
#end
#if SHARED
var<workgroup> picture: array<vec4<real>, $PATCH>;
var<workgroup> weights: array<vec4<real>, $WEIGHTS>;
#end

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let number = workgroup_number(group);
#if SHARED
    let across = (shape.width + $COLUMNS - 1) / $COLUMNS;
    let tiles = (shape.height + $TALL - 1) / $TALL * across;
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
#else
    let strips = (shape.height + $PIXELS - 1) / $PIXELS * shape.width;
    let groups = (strips + $WORKGROUP - 1) / $WORKGROUP;
    let strip = number % groups * $WORKGROUP + local;
    let output_groups = (shape.blocks + $OUTPUTS - 1) / $OUTPUTS;
    let n = number / groups / output_groups;
    let block = number / groups % output_groups * $OUTPUTS;
    if (n >= shape.batch || strip >= strips) {
        return;
    }
    let x = strip % shape.width;
    let y = strip / shape.width * $PIXELS;
#end

#for o in OUTPUTS
    // A set may be incomplete: its missing blocks repeat the last one, and are not stored.
    let block$o = min(block + $o, shape.blocks - 1);
#if BIAS
    let start$o = bias[block$o];
#else
    let start$o = vec4<f32>();
#end
#for p in PIXELS
    var sum${p}_$o = start$o;
#end
#end
#if SHARED
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
    if (x >= shape.width) {
        return;
    }
#else
    let window = shape.kernel * shape.kernel;
#for o in OUTPUTS
    var w$o = block$o * shape.in_blocks * window * 4;
#end
#if SLIDE
#for r in ROWS
    let row$r = border(y + $r, shape.in_height);
#end
    for (var c = 0u; c < shape.in_blocks; c++) {
#if HALF
#for o in OUTPUTS
#for p in PIXELS
        var part${p}_$o = vec4<real>();
#end
#end
#end
        let plane = (n * shape.in_blocks + c) * shape.in_height;
        for (var kx = 0u; kx < $KERNEL; kx++) {
            let column = border(x + kx, shape.in_width);
#for r in ROWS
#if REFLECT
            let v$r = source[(plane + row$r) * shape.in_width + column];
#else
            let v$r = select(vec4<real>(), source[(plane + row$r) * shape.in_width + column], row$r < shape.in_height && column < shape.in_width);
#end
#end
#for o in OUTPUTS
#for k in KERNEL
            let m${o}_$k = mat4x4<real>(weight[w$o], weight[w$o + 1], weight[w$o + 2], weight[w$o + 3]);
            w$o += 4;
#for p in PIXELS
            $SUM${p}_$o += m${o}_$k * v${p+k};
#end
#end
#end
        }
#if HALF
#for o in OUTPUTS
#for p in PIXELS
        sum${p}_$o += vec4<f32>(part${p}_$o);
#end
#end
#end
    }
#else
    for (var c = 0u; c < shape.in_blocks; c++) {
        let plane = (n * shape.in_blocks + c) * shape.in_height;
        for (var ky = 0u; ky < shape.kernel; ky++) {
#for p in PIXELS
            let y$p = border((y + $p) * shape.stride + ky, shape.in_height);
            let row$p = (plane + y$p) * shape.in_width;
#end
#if HALF
#for o in OUTPUTS
#for p in PIXELS
            var part${p}_$o = vec4<real>();
#end
#end
#end
            for (var kx = 0u; kx < shape.kernel; kx++) {
                let column = border(x * shape.stride + kx, shape.in_width);
#for p in PIXELS
#if REFLECT
                let v$p = source[row$p + column];
#else
                let v$p = select(vec4<real>(), source[row$p + column], y$p < shape.in_height && column < shape.in_width);
#end
#end
#for o in OUTPUTS
                let m$o = mat4x4<real>(weight[w$o], weight[w$o + 1], weight[w$o + 2], weight[w$o + 3]);
                w$o += 4;
#for p in PIXELS
                $SUM${p}_$o += m$o * v$p;
#end
#end
            }
#if HALF
#for o in OUTPUTS
#for p in PIXELS
            sum${p}_$o += vec4<f32>(part${p}_$o);
#end
#end
#end
        }
    }
#end
#end
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
