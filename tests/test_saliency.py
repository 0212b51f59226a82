import pytest
import torch

from biosignals import models
from biosignals.evaluation.saliency import attention_rollout, blank, grad_cam, saliency

X = torch.randn(3, 2, 100, generator=torch.manual_seed(0))


def net(name="convmixer-1d-small", channels=2, samples=100):
    torch.manual_seed(0)
    return models.create(name, channels, 4, samples)


@pytest.mark.parametrize("name", ["convmixer-1d-small", "pulse-cnn", "cvt-convmixer"])
def test_saliency_adds_up_to_the_logit_less_that_of_silence(name):
    channels, samples = (models.HEIGHT, 16) if name == "cvt-convmixer" else (2, 40)
    trained, signals = (
        net(name, channels, samples),
        torch.randn(3, channels, samples, generator=torch.manual_seed(1)),
    )
    for layer in trained.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    trained(signals)  # batch norm knows the signals now, as after a fit
    found = saliency(trained.eval(), signals, target=1, steps=50)
    with torch.no_grad():
        logits, silent = trained(signals)[:, 1], trained(torch.zeros_like(signals))[:, 1]
    assert (logits - silent).abs().max() > 0.03
    torch.testing.assert_close(found.sum((1, 2)), logits - silent, atol=0.004, rtol=0.02)


def test_saliency_of_a_linear_net_is_weight_times_signal():
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(200, 4))
    torch.testing.assert_close(saliency(linear, X, 2, steps=1), X * linear[1].weight[2].detach().view(2, 100))


def test_the_net_stays_as_it_was_and_dropout_is_off():
    trained = net()
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    signals = X.clone()
    torch.testing.assert_close(saliency(trained, signals, 0, 4), saliency(trained, signals, 0, 4))
    assert trained.training and not signals.requires_grad
    assert all(parameter.grad is None for parameter in trained.parameters())
    torch.testing.assert_close(trained.state_dict(), before)


@pytest.mark.parametrize("target", [-1, 4])
def test_a_class_that_the_net_has_not_is_refused(target):
    with pytest.raises(ValueError, match=f"no class {target} among the net's 4"):
        saliency(net(), X, target)


def test_grad_cam_weighs_the_maps_of_a_layer_by_their_slopes():
    layer = torch.nn.Conv1d(2, 3, 5)
    small = torch.nn.Sequential(
        layer, torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(), torch.nn.Linear(3, 4)
    )
    found = grad_cam(small, layer, X, 2)
    weights = small[3].weight[2].detach() / 96
    expected = torch.relu(torch.einsum("c,bcs->bs", weights, layer(X))).detach()
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="no class 4"):
        grad_cam(small, layer, X, 4)


def test_attention_rollout_shares_one_among_the_tokens():
    torch.manual_seed(0)
    vit = models.create("vit-small", models.HEIGHT, 5, 40)
    pictures = torch.randn(2, models.HEIGHT, 40)
    found = attention_rollout(vit, pictures)
    assert found.shape == (2, 8 * 5) and vit.training
    torch.testing.assert_close(found.sum(1), torch.ones(2))
    attention = vit.blocks[0].attention[1]
    for block in vit.blocks:
        torch.nn.init.zeros_(block.attention[1].queries_keys_values.weight)
        torch.nn.init.zeros_(block.attention[1].queries_keys_values.bias)
    assert attention.heads == 4
    torch.testing.assert_close(attention_rollout(vit, pictures), torch.full((2, 40), 1 / 40))
    with pytest.raises(ValueError, match="no attention layers"):
        attention_rollout(net(), X)


def test_what_is_most_important_is_blanked_by_the_mean():
    found = blank(X, torch.arange(100.0).expand(3, -1), share=0.25)
    assert torch.equal(found[..., :75], X[..., :75])
    torch.testing.assert_close(found[..., 75:], X.mean(2, keepdim=True).expand(-1, -1, 25))
