"""Changes of a batch of records that leave their labels true: a net sees each record anew in every epoch.

An augmentation is called on signals, float32 (batch, channels, samples), and returns new signals of that
shape. Every record draws its own change from torch's global generator, so that a fit with a seed can be
repeated. Its repr holds all there is to know of it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scale:
    """Multiplies each record by a factor between `low` and `high`, as from another gain or another chest."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range(self)

    def __call__(self, x: Tensor) -> Tensor:
        return x * _uniform(x, self.low, self.high)


@dataclass(frozen=True)
class Polarity:
    """Turns about half of the records upside down, as from electrodes or hands that were swapped."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.where(_uniform(x, 0, 1) < 0.5, -x, x)


@dataclass(frozen=True)
class Noise:
    """Adds white noise: a random share, per record, of `level` times the channel's standard deviation."""

    level: float

    def __post_init__(self) -> None:
        _check_level(self)

    def __call__(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x) * _deviation(x) * _uniform(x, 0, self.level)


@dataclass(frozen=True)
class Wander:
    """Adds a slow wave, as from breathing: half to three periods a record, of its own phase in each channel.

    Its amplitude is at most `level` times the channel's own standard deviation, a random share of it per
    record.
    """

    level: float

    def __post_init__(self) -> None:
        _check_level(self)

    def __call__(self, x: Tensor) -> Tensor:
        time = torch.linspace(0, 2 * math.pi, x.shape[-1], device=x.device, dtype=x.dtype)
        phase = 2 * math.pi * torch.rand(*x.shape[:2], 1, device=x.device, dtype=x.dtype)
        wave = torch.sin(_uniform(x, 0.5, 3) * time + phase)
        return x + wave * _deviation(x) * _uniform(x, 0, self.level)


@dataclass(frozen=True)
class Offset:
    """Adds a constant to each channel of each record, at most `level` of the recordings' unit up or down."""

    level: float

    def __post_init__(self) -> None:
        _check_level(self)

    def __call__(self, x: Tensor) -> Tensor:
        constant = torch.rand(*x.shape[:2], 1, device=x.device, dtype=x.dtype)
        return x + self.level * (2 * constant - 1)


@dataclass(frozen=True)
class Shift:
    """Starts each record at a random sample; what comes before it follows after the end."""

    def __call__(self, x: Tensor) -> Tensor:
        samples = x.shape[-1]
        start = torch.randint(samples, (len(x), 1, 1), device=x.device)
        return _at(x, (start + torch.arange(samples, device=x.device)) % samples)


@dataclass(frozen=True)
class TimeMask:
    """Replaces one stretch of each record, at most `share` of it, by the channel's mean (Park 2019)."""

    share: float

    def __post_init__(self) -> None:
        _check_share("share", self.share)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.where(_stretch(x, self.share, x.shape[-1]), x.mean(-1, keepdim=True), x)


@dataclass(frozen=True)
class FrequencyMask:
    """Replaces neighbouring scales of each scalogram, at most `share` of them, by their mean over time.

    The channels are the scales of one signal after the other, `scales` of each; the same ones are hidden in
    all (Park et al. 2019).
    """

    share: float
    scales: int

    def __post_init__(self) -> None:
        _check_share("share", self.share)
        if self.scales < 1:
            raise ValueError(f"scales must be 1 or more, not {self.scales}")

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[1] % self.scales:
            raise ValueError(f"{x.shape[1]} channels are not made of {self.scales} scales each")
        hidden = _stretch(x, self.share, self.scales)[:, 0].repeat(1, x.shape[1] // self.scales)
        return torch.where(hidden[..., None], x.mean(-1, keepdim=True), x)


@dataclass(frozen=True)
class ChannelDrop:
    """Sets channels to zero with a `probability`, as of electrodes that fell off; never all of a record."""

    probability: float

    def __post_init__(self) -> None:
        _check_share("probability", self.probability)

    def __call__(self, x: Tensor) -> Tensor:
        dropped = torch.rand(*x.shape[:2], 1, device=x.device) < self.probability
        return x.masked_fill(dropped & ~dropped.all(1, keepdim=True), 0)


@dataclass(frozen=True)
class TimeStretch:
    """Slows each record down by a factor between `low` and `high`, by linear interpolation; its length stays.

    A slowed record loses a part of its ends; a quickened one (factor below 1) starts again after its end.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range(self)

    def __call__(self, x: Tensor) -> Tensor:
        samples = x.shape[-1]
        factor = _uniform(x, self.low, self.high)
        start = _uniform(x, 0, 1) * (samples - 1) * (1 - 1 / factor)
        place = start + torch.arange(samples, device=x.device) / factor
        before = place.floor()
        first = before.long() % samples
        return torch.lerp(_at(x, first), _at(x, (first + 1) % samples), (place - before).expand_as(x))


@dataclass(frozen=True)
class Compose:
    """Several augmentations, one after the other."""

    steps: tuple

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))

    def __call__(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    """A random number per record, (batch, 1, 1)."""
    return low + (high - low) * torch.rand(len(x), 1, 1, device=x.device, dtype=x.dtype)


def _stretch(x: Tensor, share: float, places: int) -> Tensor:
    """A random stretch of `places` per record, at most `share` of them: bool (batch, 1, places)."""
    length = (_uniform(x, 0, share) * places).floor()
    start = _uniform(x, 0, 1) * (places - length)
    place = torch.arange(places, device=x.device)
    return (place >= start) & (place < start + length)


def _deviation(x: Tensor) -> Tensor:
    """Standard deviation of each channel of each record, (batch, channels, 1)."""
    return x.std(-1, correction=0, keepdim=True)


def _at(x: Tensor, samples: Tensor) -> Tensor:
    """x at the positions `samples`, (batch, 1, samples)."""
    return x.gather(-1, samples.expand_as(x))


def _check_range(step: Scale | TimeStretch) -> None:
    if not 0 < step.low <= step.high < math.inf:
        raise ValueError(f"{step}: needs 0 < low <= high")


def _check_level(step: Noise | Wander | Offset) -> None:
    if not 0 <= step.level < math.inf:
        raise ValueError(f"{step}: level must be 0 or more")


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, not {share}")
