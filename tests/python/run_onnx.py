"""Checks ONNX files and runs them with onnxruntime, for tests/tests/onnx.rs.

The folder that is the only argument holds cases.json, a list of [model, [[input, dims, output], ..]]. Inputs and outputs are
files of f32; an input may also be words by the names of the model's inputs. Standard output gets one JSON: under "models" what
each file says, under "outputs" the dimensions of each output, or why there is none.
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime


def described(model):
    def values(infos):
        axes = lambda info: [axis.dim_param or axis.dim_value for axis in info.type.tensor_type.shape.dim]
        return [[info.name, axes(info)] for info in infos]

    return {
        "producer": [model.producer_name, model.producer_version],
        "opsets": [[opset.domain, opset.version] for opset in model.opset_import],
        "inputs": values(model.graph.input),
        "outputs": values(model.graph.output),
        "metadata": {entry.key: entry.value for entry in model.metadata_props},
        "initializers": [[tensor.name, list(tensor.dims)] for tensor in model.graph.initializer],
    }


folder = pathlib.Path(sys.argv[1])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
told = {"models": {}, "outputs": {}}
for name, runs in json.loads((folder / "cases.json").read_text()):
    failure = None
    try:
        model = onnx.load(folder / name)
        onnx.checker.check_model(model, full_check=True)
        told["models"][name] = described(model)
        session = onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        failure = error
    for given, dims, result in runs:
        try:
            if failure:
                raise failure
            if isinstance(given, dict):
                inputs = {key: numpy.array(value, numpy.int64) for key, value in given.items()}
            else:
                values = numpy.fromfile(folder / given, numpy.float32).reshape(dims)
                inputs = {session.get_inputs()[0].name: values} if session.get_inputs() else {}
            output = session.run(None, inputs)[0]
            output.astype(numpy.float32).tofile(folder / result)
            told["outputs"][result] = list(output.shape)
        except Exception as error:
            told["outputs"][result] = str(error)
json.dump(told, sys.stdout)
