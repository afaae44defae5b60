"""Networks of other programs that come as a finished graph, TorchScript or ONNX, and are run by its runtime."""
