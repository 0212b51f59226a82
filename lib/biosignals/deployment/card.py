"""The card beside an exported model: what it is for, what it takes, and its scores."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import numpy as np

from biosignals.caching import writing
from biosignals.data.readers import UNITS, InvalidRecording

LARGEST_CARD = 1 << 20
AGGREGATIONS = ("mean", "maximum")


@dataclass(frozen=True)
class Card:
    """What a model is for, and how to run it.

    channels, unit ("mV", "uV"), sampling_rate (Hz), samples: of its input, one window. channel_aliases: other
    names under which a channel may come, {"ECG": "I"}, where a recording has no more channels than these.
    step: seconds from one window's start to the next. aggregation: "mean", of those of a recording's windows
    in which every channel moves, cut after the whole of it has been resampled; or "maximum", for long
    recordings in which something comes and goes: there each window is resampled by itself, as a monitor
    would, and scores are the mean of `smoothing` windows, of which none lies ahead. classes and their
    thresholds: of the output; multiclass: whether just one of the classes is true. purposes: thresholds
    of the classes for another purpose, by its name, as {"screening": (.1, .2)}. scores: records of `results`
    on patients whom the model has not met; checks: others, as those of groups of patients and of disturbed
    signals. latency_ms: of one window. limits: what it must not be used for.
    """

    model: str
    task: str
    channels: tuple[str, ...]
    unit: str
    sampling_rate: float
    samples: int
    step: float
    aggregation: str
    classes: tuple[str, ...]
    multiclass: bool
    thresholds: tuple[float, ...]
    trained_on: str
    scores: tuple[dict, ...]
    params: int
    bytes: int
    latency_ms: float
    limits: tuple[str, ...]
    smoothing: int = 1
    channel_aliases: Mapping[str, str] = field(default_factory=dict)
    purposes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    checks: tuple[dict, ...] = ()


def write_card(card: Card, model: Path) -> Path:
    """Write a card beside its model, NAME.json beside NAME.onnx, and return its path.

    Raises InvalidRecording for one that contradicts itself.
    """
    place = _card_place(model)
    _check_card(card, place)
    with writing(place) as unfinished:
        unfinished.write_text(json.dumps(dataclasses.asdict(card), indent=1, allow_nan=False) + "\n")
    return place


def read_card(model: Path) -> Card:
    """The card beside a model. Raises InvalidRecording where it is missing, damaged or contradicts itself."""
    place = _card_place(model)
    try:
        if place.stat().st_size > LARGEST_CARD:
            raise InvalidRecording(f"{place}: too large for a card")
        values = json.loads(place.read_text())
        card = Card(**{name: _without_lists(value) for name, value in values.items()})
        _check_card(card, place)
    except FileNotFoundError:
        raise InvalidRecording(
            f"{place}: there is no card; a model needs the .json that came with its .onnx"
        ) from None
    except InvalidRecording:
        raise
    except (OSError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InvalidRecording(f"{place}: not a model's card ({error})") from error
    return card


def _without_lists(value: object) -> object:
    """What a card's field holds where JSON has lists: tuples, also as the values of a mapping."""
    if isinstance(value, dict):
        return {name: _without_lists(one) for name, one in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _card_place(model: Path | str) -> Path:
    try:
        return Path(model).with_suffix(".json")
    except (TypeError, ValueError):
        raise InvalidRecording(f"{model!r}: not a model's file") from None


def _check_card(card: Card, place: Path) -> None:
    for name, kind in get_type_hints(Card).items():
        if not _is(getattr(card, name), kind):
            raise InvalidRecording(f"{place}: its {name} is of another type; take the model again")
    fits = (
        len(card.classes) == len(card.thresholds) > 0 and len(set(card.channels)) == len(card.channels) > 0
        and card.unit.lower() in UNITS and card.aggregation in AGGREGATIONS
        and 0 < card.sampling_rate < 1e5 and 100 <= card.samples < 1e6
        and 0.01 <= card.step * card.sampling_rate / card.samples <= 1
        and all(len(each) == len(card.classes) for each in card.purposes.values())
        and 0 < card.smoothing < 1000 and set(card.channel_aliases.values()) <= set(card.channels)
    )  # fmt: skip
    if not fits:
        raise InvalidRecording(f"{place}: a card that contradicts itself; take the model again")


def _is(value: object, kind: type) -> bool:
    """Whether a value has the type that a field of Card declares; as floats, whole numbers pass, NaN and
    infinity do not.
    """
    if get_origin(kind) is tuple:
        return isinstance(value, tuple | list) and all(_is(one, get_args(kind)[0]) for one in value)
    if get_origin(kind) is Mapping:
        _, of = get_args(kind)
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and _is(one, of) for name, one in value.items()
        )
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < np.inf
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
