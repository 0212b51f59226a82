"""What a net costs: parameters, multiply-adds, bytes, milliseconds, memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from biosignals import onnx_files
from biosignals.models import parameter_count


def latency(net: nn.Module, x: torch.Tensor, repeats: int = 30) -> tuple[float, float]:
    """Median and 95th percentile of the milliseconds a net takes for the batch `x`, warm, on one thread of the CPU."""
    net, x = net.cpu().eval(), x.cpu()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return measure(lambda: net(x), repeats)
    finally:
        torch.set_num_threads(threads)


def latency_of_file(path: Path, x: np.ndarray, repeats: int = 30) -> tuple[float, float]:
    """As `latency`, of an ONNX file in ONNX Runtime; x: float32 (batch, channels, samples)."""
    session = onnx_files.open_session(path)
    return measure(lambda: session.run(None, {"signals": x}), repeats)


def memory(path: Path, shape: tuple[int, ...]) -> float:
    """MiB that a fresh process grows by when it loads an ONNX file and answers a batch of `shape`.

    ONNX Runtime keeps what it once took, so that this is its highest, too.
    """
    command = [sys.executable, "-c", _ANSWER_ONCE, str(path), *map(str, shape)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 2**20


_ANSWER_ONCE = """
import sys
import numpy, onnxruntime, psutil
x = numpy.zeros([int(size) for size in sys.argv[2:]], numpy.float32)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
before = psutil.Process().memory_info().rss
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
session.run(None, {"signals": x})
print(psutil.Process().memory_info().rss - before)
"""


def measure(answer: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and 95th percentile of the milliseconds that `answer` takes, after three calls that do not count."""
    for _ in range(3):
        answer()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        answer()
        taken.append(1000 * (time.perf_counter() - start))
    median, slow = np.percentile(taken, [50, 95])
    return float(median), float(slow)


# What a net costs


def costs(file: Path, net: nn.Module, windows: np.ndarray, repeats: int = 30) -> dict[str, float]:
    """What an ONNX file costs: bytes, and on one thread milliseconds for one window and for all of `windows`.

    windows: float32 (n, channels, samples). With the parameters and multiply-adds for one window of the net it was made of.
    """
    one, many = windows[:1], len(windows)
    median, slow = latency_of_file(file, one, repeats)
    median_of_many, slow_of_many = latency_of_file(file, windows, max(3, repeats // 10))
    return {
        "parameters": parameter_count(net), "MACs": multiply_adds(net, torch.from_numpy(one)), "bytes": file.stat().st_size,
        "ms": median, "p95": slow, f"ms of {many}": median_of_many, f"p95 of {many}": slow_of_many,
    }  # fmt: skip


def multiply_adds(net: nn.Module, example: Tensor) -> int:
    """Multiplications with an addition (MACs) that a net takes for one recording of `example`."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(example[:1])
    return counter.get_total_flops() // 2
