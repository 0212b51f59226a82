"""How long a net takes to answer."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn


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
