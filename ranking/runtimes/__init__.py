"""What runs the network: torch, CUDA graphs, ONNX Runtime; alone or in batches."""
