"""Exported nets: ONNX files, opened and run on one thread of the CPU."""

from pathlib import Path

import numpy as np
import onnxruntime

BATCH = 64  # windows at a time: memory stays bounded


def open_session(path: Path | str) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime for a file, on one thread of the CPU: in 8 bits its sums are exact on every
    processor. Raises ONNX Runtime's errors for a damaged file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Without it, and without VNNI, pairs of products saturate in 16 bits; files of `quantize` do not need it.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 4  # none of what it prints is for the reader
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, signals: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """Probabilities (n, classes) that an exported net gives for signals, float32 (n, channels, samples)."""
    parts = [signals[start : start + batch] for start in range(0, len(signals), batch)]
    return np.concatenate([session.run(None, {"signals": np.ascontiguousarray(part)})[0] for part in parts])
