"""Checks ONNX files and runs them with onnxruntime, for tests/tests/onnx.rs.

The folder that is the only argument holds cases.json, a list of [model, [[input, dims, output], ..]]. Inputs are files of f32;
every output is written as such a file. What fails becomes a text in the file output + ".error".
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime

folder = pathlib.Path(sys.argv[1])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
for model, runs in json.loads((folder / "cases.json").read_text()):
    failure = None
    try:
        onnx.checker.check_model(onnx.load(folder / model), full_check=True)
        session = onnxruntime.InferenceSession(folder / model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        failure = error
    for given, dims, result in runs:
        try:
            if failure:
                raise failure
            values = numpy.fromfile(folder / given, numpy.float32).reshape(dims)
            inputs = {session.get_inputs()[0].name: values} if session.get_inputs() else {}
            session.run(None, inputs)[0].astype(numpy.float32).tofile(folder / result)
        except Exception as error:
            (folder / (result + ".error")).write_text(str(error))
