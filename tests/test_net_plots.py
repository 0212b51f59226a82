import matplotlib.pyplot as plt
import pytest

from biosignals import models
from biosignals.reporting import net_plots


@pytest.mark.parametrize("name", ["plain-cnn", "student", "teacher", "inception-cnn", "resnet1d-wang", "s4"])
def test_a_drawing_has_every_parameter_and_ends_in_the_classes(name):
    net = models.create(name, 12, 5)
    table = net_plots.layers(net, 12, 1000)
    assert table.parameters.sum() == models.parameter_count(net)
    assert (table.channels.iloc[-1], table.samples.iloc[-1]) == (5, 1)
    assert net.training  # left as it was
    ax = net_plots.architecture(net, 12, 1000)
    words = [text.get_text() for text in ax.texts]
    assert words[0] == "12 × 1000" and len(ax.patches) == len(table) + 1
    plt.close(ax.figure)


def test_shapes_are_those_that_the_paper_gives():
    table = net_plots.layers(models.create("inception-cnn", 12, 5), 12, 1000)
    assert list(table.samples) == [1000, 1000, 500, 500, 250, 125, 125, 1, 1]
    assert table.layers[7].splitlines()[:2] == ["flatten", "dense"]
    residual = net_plots.layers(models.create("resnet1d-wang", 12, 5), 12, 1000)
    assert residual.layers[3].startswith("maximum, mean") and "basic block" in residual.layers[1]


def test_recurrent_nets_and_maps_of_channels_by_time_are_drawn():
    table = net_plots.layers(models.create("eeg-cnn-lstm", 23, 2, 2560), 23, 2560)
    assert (table.channels.iloc[-3], table.samples.iloc[-3]) == (32 * 23, 640)
    assert (table.channels.iloc[-2], table.samples.iloc[-2]) == (128, 640) and "LSTM" in table.layers.iloc[-2]
    assert table.layers.iloc[-1] == "last step\ndense"
    net = models.create("resnet1d-gru", 1, 4, 2048)
    table = net_plots.layers(net, 1, 2048)
    assert table.layers.iloc[-1] == "maximum, mean\ndense"
    assert table.parameters.sum() == models.parameter_count(net)


def test_a_long_net_goes_on_in_further_rows():
    net = models.create("custom-cnn", 1, 1, 1250)
    ax = net_plots.architecture(net, 1, 1250)
    middles = [(box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2) for box in ax.patches]
    rows = sorted({round(y, 6) for _, y in middles}, reverse=True)
    assert len(rows) > 1 and len(ax.patches) == len(net_plots.layers(net, 1, 1250)) + 1
    for row in rows:
        across = [x for x, y in middles if round(y, 6) == row]
        assert across == sorted(across) and len(across) <= net_plots.MOST_IN_A_ROW
    boxes = [box.get_window_extent() for box in ax.patches]
    figure = ax.figure.bbox
    assert all(figure.contains(box.x0, box.y0) and figure.contains(box.x1, box.y1) for box in boxes)
    plt.close(ax.figure)


def test_a_convolution_that_leaves_one_sample_is_no_mean():
    table = net_plots.layers(models.create("custom-cnn", 1, 1, 5000), 1, 5000)
    assert table.layers[table.samples == 1].iloc[0] == "convolution 5"
    assert table.layers[table.samples == 1].iloc[1].startswith("dense")
