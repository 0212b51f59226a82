"""One class of several as a net of its own."""

import numpy as np
import torch

from biosignals import models, onnx_files
from biosignals.compression import export
from biosignals.models.layers.one_class import OneClass


def test_its_sigmoid_is_the_softmax_probability_of_the_class():
    logits = torch.randn(50, 4, dtype=torch.float64) * 20
    for place in range(4):
        found = OneClass(torch.nn.Identity(), place)(logits).sigmoid()
        torch.testing.assert_close(found, logits.softmax(1)[:, place, None])


def test_it_is_exported_with_its_net(tmp_path):
    torch.manual_seed(0)
    net = models.create("resnet1d-gru", 1, 4, 512).eval()
    x = torch.randn(3, 1, 512)
    file = export.export(OneClass(net, 1), x, tmp_path / "net.onnx")
    expected = net(x).softmax(1)[:, 1:2].detach().numpy()
    np.testing.assert_allclose(onnx_files.run(onnx_files.open_session(file), x.numpy()), expected, atol=1e-5)
