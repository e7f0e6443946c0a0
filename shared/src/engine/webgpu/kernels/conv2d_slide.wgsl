// Convolution of stride 1 with a window of $KERNEL x $KERNEL, small enough to unroll a column of it.
//
// Formula as conv2d.wgsl
// Grid    as conv2d.wgsl
// Layout  as conv2d.wgsl, but weight [blocks, in_blocks, kernel x, kernel y, 4 of C] of 4 of O: a column of the window in a row
// Idea    the rows of a thread slide along a column of the window: $PIXELS + $KERNEL - 1 loads of pixels serve
//         $PIXELS x $KERNEL products, where conv2d.wgsl loads each time

@group(0) @binding(2) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
#end

@compute @workgroup_size($WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let strips = (shape.height + $PIXELS - 1) / $PIXELS * shape.width;
    let groups = (strips + $WORKGROUP - 1) / $WORKGROUP;
    let number = workgroup_number(group);
    let strip = number % groups * $WORKGROUP + local;
    let output_groups = (shape.blocks + $OUTPUTS - 1) / $OUTPUTS;
    let n = number / groups / output_groups;
    let block = number / groups % output_groups * $OUTPUTS;
    if (n >= shape.batch || strip >= strips) {
        return;
    }
    let x = strip % shape.width;
    let y = strip / shape.width * $PIXELS;

#for o in OUTPUTS
#if o
    // The last set may be incomplete: its missing blocks repeat the last one, and are not stored.
    let block$o = min(block + $o, shape.blocks - 1);
#else
    let block$o = block;
#end
    var w$o = block$o * shape.in_blocks * $WINDOW * 4;
#if BIAS
    let start$o = bias[block$o];
#else
    let start$o = vec4<f32>();
#end
#for p in PIXELS
    var sum${p}_$o = start$o;
#end
#end
#for r in ROWS
    let row$r = border(y + $r, shape.in_height);
#end
    for (var c = 0u; c < shape.in_blocks; c++) {
        let plane = (n * shape.in_blocks + c) * shape.in_height;
        for (var kx = 0u; kx < $KERNEL; kx++) {
            let column = border(x + kx, shape.in_width);
#for r in ROWS
#if REFLECT
            let v$r = source[(plane + row$r) * shape.in_width + column];
#else
            let v$r = select(vec4<f32>(), source[(plane + row$r) * shape.in_width + column], row$r < shape.in_height && column < shape.in_width);
#end
#end
#for o in OUTPUTS
#for k in KERNEL
            let m${o}_$k = mat4x4<f32>(weight[w$o], weight[w$o + 1], weight[w$o + 2], weight[w$o + 3]);
            w$o += 4;
#for p in PIXELS
            sum${p}_$o += m${o}_$k * v${p+k};
#end
#end
#end
        }
    }
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
