"""Times an ONNX file with onnxruntime on the CPU, for `cargo xtask bench --native`.

Arguments: the file, the side of the square picture, runs, threads. Standard output gets JSON: the version of onnxruntime, and the
median and the shortest run in milliseconds, after two warm ones.
"""

import json
import statistics
import sys
import time

import numpy
import onnxruntime

file, side, runs, threads = sys.argv[1], *map(int, sys.argv[2:5])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
options.inter_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
values = (numpy.arange(3 * side * side, dtype=numpy.float32) % 256 / 255).reshape(1, 3, side, side)
inputs = {session.get_inputs()[0].name: values}
times = []
for run in range(2 + runs):
    began = time.perf_counter()
    session.run(None, inputs)
    if run >= 2:
        times.append(1e3 * (time.perf_counter() - began))
told = {"version": onnxruntime.__version__, "median_ms": statistics.median(times), "least_ms": min(times)}
json.dump(told, sys.stdout)
