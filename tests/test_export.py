"""Exported nets give the probabilities of the nets that they were made from."""

import logging

import numpy as np
import pytest
import torch

import small_net
from biosignals import models
from biosignals.compression import export
from biosignals.models.layers.standardised import Standardised


def test_an_exported_net_gives_probabilities_of_any_batch(tmp_path):
    net = small_net.build()
    path = export.export(net, small_net.signals(2), tmp_path / "net.onnx")
    for count in (1, 2, 7):
        x = small_net.signals(count)
        np.testing.assert_allclose(small_net.run(path, x), net(x).sigmoid().detach(), atol=1e-5)


@pytest.mark.slow
def test_nets_of_one_structure_are_written_each_with_its_own_weights(tmp_path):
    x = torch.cat([small_net.signals(5)] * 4, dim=-1)
    for seed in range(2):
        torch.manual_seed(seed)
        net = Standardised(
            models.create("cnn-lstm", 2, 3, 4 * small_net.SAMPLES), 0.1 * seed, 0.5 + seed
        ).eval()
        path = export.export(net, x[:2], tmp_path / f"{seed}.onnx")
        np.testing.assert_allclose(small_net.run(path, x), net(x).sigmoid().detach(), atol=1e-5)


class Recurrent(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.lstm = torch.nn.LSTM(2, 4, batch_first=True, **options)

    def forward(self, x):
        out, (hidden, cell) = self.lstm(x.transpose(1, 2))
        return torch.cat([out[:, 5], hidden[0], cell[-1]], dim=1)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}])
def test_lstms_are_exported_with_all_that_they_answer(options, tmp_path):
    torch.manual_seed(0)
    net, x = Recurrent(**options).eval(), small_net.signals(5)[..., :20]
    path = export.export(net, x[:2], tmp_path / "net.onnx")
    np.testing.assert_allclose(small_net.run(path, x), net(x).sigmoid().detach(), atol=1e-5)


def test_a_net_with_a_layer_that_onnx_does_not_know_is_refused(tmp_path):
    class Spectrum(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x[:, :, :2]).real

    with pytest.raises(ValueError, match="Spectrum cannot be written"):
        export.export(Spectrum(), small_net.signals(2), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_s4_is_exported_as_convolutions(tmp_path):
    torch.manual_seed(0)
    net = Standardised(models.create("s4", 2, 3, small_net.SAMPLES), 0.1, 0.5).eval()
    path = export.export(net, small_net.signals(2), tmp_path / "s4.onnx")
    expected = net(small_net.signals(5)).sigmoid().detach()
    np.testing.assert_allclose(small_net.run(path, small_net.signals(5)), expected, atol=1e-4)


def test_quiet_is_over_when_it_ends(caplog):
    with export.quiet():
        logging.getLogger("torch.onnx").warning("hidden")
    logging.getLogger("torch.onnx").warning("shown")
    assert caplog.messages == ["shown"]
