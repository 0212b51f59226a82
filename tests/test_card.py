"""A card comes back as it was written; one that is damaged or contradicts itself is refused."""

import json
from dataclasses import asdict, replace

import pytest

import made_model
from biosignals.data import readers
from biosignals.deployment import card

CARD = asdict(made_model.CARD)


def test_a_card_comes_back_as_it_was_written(tmp_path):
    card.write_card(made_model.CARD, tmp_path / "a.onnx")
    assert card.read_card(tmp_path / "a.onnx") == made_model.CARD
    more = replace(made_model.CARD, purposes={"screening": (0.1, 0.2, 0.3)}, checks=({"metric": "auroc"},))
    card.write_card(more, tmp_path / "a.onnx")
    assert card.read_card(tmp_path / "a.onnx") == more


@pytest.mark.parametrize(
    "content",
    [
        {"model": "x"},
        [],
        None,
        CARD | {"samples": 1e9},
        CARD | {"classes": 3},
        CARD | {"thresholds": [0.5]},
        CARD | {"sampling_rate": "fast"},
        CARD | {"step": 0},
        CARD | {"channel_aliases": {"X": "Y"}},
        CARD | {"smoothing": 2.5},
        CARD | {"smoothing": 0},
        CARD | {"smoothing": True},
        CARD | {"scores": [3]},
        CARD | {"scores": {}},
        CARD | {"limits": "none"},
        CARD | {"limits": [1]},
        CARD | {"latency_ms": "1"},
        CARD | {"latency_ms": 1e999},
        CARD | {"multiclass": "no"},
        CARD | {"multiclass": 1},
        CARD | {"channel_aliases": ["I"]},
        CARD | {"channel_aliases": {"X": 1}},
        CARD | {"purposes": {"screening": [0.5]}},
        CARD | {"purposes": {"screening": "low"}},
        CARD | {"purposes": {"screening": ["low", "low", "low"]}},
        CARD | {"checks": [3]},
        CARD | {"step": 10**400},
        CARD | {"trained_on": None},
    ],
)
def test_damaged_cards_are_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(readers.InvalidRecording, match=r"a\.json"):
        card.read_card(tmp_path / "a.onnx")
