import torch
from torch import nn

from biosignals import timing


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls, self.modes = 0, set()

    def forward(self, x):
        self.calls += 1
        self.modes.add((self.training, torch.is_grad_enabled(), torch.get_num_threads()))
        return x


def test_a_net_is_timed_warm_on_one_thread_without_gradients_and_threads_come_back():
    net, before = Counting(), torch.get_num_threads()
    median, slow = timing.latency(net, torch.zeros(1, 2, 10), repeats=7)
    assert net.calls == 10 and net.modes == {(False, False, 1)}
    assert 0 < median <= slow
    assert torch.get_num_threads() == before
