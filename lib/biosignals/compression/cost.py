"""What a net costs: parameters, multiply-adds, bytes, milliseconds, memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from biosignals import onnx_files
from biosignals.models import parameter_count


def latency(net: nn.Module, x: Tensor, repeats: int = 30) -> tuple[float, float]:
    """Median and 95th percentile of a net's milliseconds on one thread of the CPU, after three calls that do
    not count.

    x: a batch of inputs, float32 (batch, channels, samples).
    """
    net, x = net.cpu().eval(), x.cpu()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return measure(lambda: net(x), repeats)
    finally:
        torch.set_num_threads(threads)


def latency_of_file(path: Path, x: np.ndarray, repeats: int = 30) -> tuple[float, float]:
    """As `latency`, of an ONNX file in ONNX Runtime. x: one batch, float32 (batch, channels, samples)."""
    session = onnx_files.open_session(path)
    return measure(lambda: onnx_files.run(session, x, len(x)), repeats)


def measure(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and 95th percentile of the milliseconds that `repeats` calls take, after three to warm up."""
    for _ in range(3):
        call()
    milliseconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        milliseconds.append(1000 * (time.perf_counter() - start))
    median, slow = np.percentile(milliseconds, [50, 95])
    return float(median), float(slow)


def memory(path: Path, shape: tuple[int, ...]) -> float:
    """MiB that a fresh process grows by when it loads an ONNX file and runs one batch of `shape`.

    ONNX Runtime keeps the memory that it has taken, so that this is its peak, too. Raises CalledProcessError
    for a file that cannot be run.
    """
    command = [sys.executable, "-c", _RUN_ONCE, str(path), *map(str, shape)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 2**20


_RUN_ONCE = """
import sys
import numpy, psutil
from biosignals import onnx_files
x = numpy.zeros([int(size) for size in sys.argv[2:]], numpy.float32)
before = psutil.Process().memory_info().rss
session = onnx_files.open_session(sys.argv[1])
onnx_files.run(session, x, len(x))
print(psutil.Process().memory_info().rss - before)
"""


def costs(file: Path, net: nn.Module, windows: np.ndarray, repeats: int = 30) -> dict[str, float]:
    """Parameters and MACs of a net, bytes of its ONNX file, and the file's milliseconds for one window and
    for all.

    windows: float32 (n, channels, samples). Keys: parameters, MACs, bytes, ms, p95, "ms of n", "p95 of n".
    """
    one, many = windows[:1], len(windows)
    median, slow = latency_of_file(file, one, repeats)
    median_of_many, slow_of_many = latency_of_file(file, windows, max(3, repeats // 10))
    return {
        "parameters": parameter_count(net), "MACs": multiply_adds(net, torch.from_numpy(one)),
        "bytes": file.stat().st_size,
        "ms": median, "p95": slow, f"ms of {many}": median_of_many, f"p95 of {many}": slow_of_many,
    }  # fmt: skip


def zeros_of_file(path: Path) -> float:
    """Share of zeros among the weights of an ONNX file, in floats or in 8 bits: its constants of two and more
    dimensions.
    """
    constants = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
    weights = [constant for constant in constants if constant.ndim > 1]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.size for weight in weights)


def multiply_adds(net: nn.Module, example: Tensor) -> int:
    """Multiplications with an addition (MACs) of a net for one recording. example: inputs (batch, channels,
    samples).
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(example[:1])
    return counter.get_total_flops() // 2
