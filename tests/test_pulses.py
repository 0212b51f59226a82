import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from biosignals.signals import pulses


def drawn(*bumps, samples=75, runoff=0.3):
    """A pulse of Gaussian bumps (height, centre, width in samples) on a straight runoff from the first."""
    time, top = np.arange(samples), min(centre for _, centre, _ in bumps)
    x = sum(height * np.exp(-0.5 * ((time - centre) / width) ** 2) for height, centre, width in bumps)
    x = x + runoff * np.minimum(time / top, (samples - 1 - time) / ((samples - 1 - top) or 1))
    return x * np.clip(time / 6, 0, 1) * np.clip((samples - 1 - time) / 6, 0, 1)


def type_of(pulse):
    return str(pulses.pulse_types(np.asarray(pulse)[None], np.array([len(pulse)]))[0])


EXAMPLES = {
    "one late peak": ("1", drawn((1, 34, 12))),
    "one early peak": ("1L", drawn((1, 16, 8))),
    "two equal peaks": ("2E", drawn((1, 16, 9), (1.1, 42, 11))),
    "a second peak a little higher": ("2E", drawn((0.9, 16, 9), (1.15, 42, 11))),
    "a lower second peak after a notch": ("2L", drawn((1, 14, 6), (0.5, 44, 8))),
    "a second peak too low to count": ("1L", drawn((1, 14, 6), (0.15, 44, 8), runoff=0.15)),
    "a notch too deep between equal peaks": ("3", drawn((1, 16, 6), (1.1, 44, 7))),
    "peaks too close": ("3", drawn((1, 14, 4), (0.95, 29, 5))),
    "peaks too far apart": ("3", drawn((1, 14, 6), (0.7, 83, 7), samples=105)),
    "first peak too late": ("3", drawn((1, 30, 6), (0.9, 55, 7), samples=85)),
    "three tall peaks": ("3", drawn((1, 14, 5), (0.8, 36, 5), (0.7, 58, 5), samples=80)),
    "three peaks of any size after an early one": (
        "3",
        drawn((1, 14, 5), (0.15, 36, 3), (0.15, 54, 3), runoff=0.15),
    ),
    "far below its feet": ("3", drawn((1, 16, 6), (-0.8, 50, 8))),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_shape_has_its_type(name):
    expected, pulse = EXAMPLES[name]
    assert type_of(pulse) == expected


@settings(max_examples=30)
@given(st.sampled_from(sorted(EXAMPLES)), st.floats(1e-3, 1e5))
def test_the_unit_does_not_matter(name, factor):
    expected, pulse = EXAMPLES[name]
    assert type_of(factor * pulse) == expected


def test_many_pulses_at_once_get_the_types_of_each_alone():
    rows = [pulse for _, pulse in EXAMPLES.values()]
    padded, lengths = pulses.pad(rows)
    assert pulses.pulse_types(padded, lengths).tolist() == [expected for expected, _ in EXAMPLES.values()]
    assert np.array_equal(lengths, [len(row) for row in rows])


BUMPS = st.tuples(st.floats(-0.5, 1), st.floats(5, 70), st.floats(3, 15))


@settings(max_examples=60)
@given(st.lists(BUMPS, min_size=1, max_size=4), st.integers(30, 120))
def test_every_pulse_that_rises_has_one_of_the_five_types_as_told_by_its_peaks(bumps, samples):
    pulse = drawn(*bumps, samples=samples)
    if pulse.max() < 0.05:
        return
    found = type_of(pulse)
    assert found in pulses.TYPES
    low_pass = signal.butter(5, 10 / 50)  # another form of the same filter
    smooth = signal.filtfilt(*low_pass, pulse / pulse.max())
    tall = signal.find_peaks(smooth / smooth.max(), prominence=0.004)[0]
    tall = tall[smooth[tall] >= 0.35 * smooth.max()]
    if found != "3":
        assert (
            len(tall) == (1 if found == "1" else 2 if found in ("2E", "2L") else len(tall))
            and 1 <= len(tall) <= 2
        )
        assert (tall[0] > 25) == (found == "1")


@pytest.mark.parametrize(
    "pulse, error",
    [
        (np.hanning(18), "19 samples or more"),
        (np.full(60, 0.5), "constant"),
        (np.where(np.arange(60) == 7, np.nan, np.hanning(60)), "1 samples that are NaN"),
        (-np.hanning(60), "does not rise above zero"),
    ],
)
def test_what_is_no_pulse_is_refused(pulse, error):
    with pytest.raises(ValueError, match=error):
        type_of(pulse)


def wave(sampling_rate, seconds=30, cycle=0.8, drift=True):
    """A pulse wave on a slow drift: a foot at 0.4 s and each `cycle` from there; type 1L."""
    time = np.arange(round(seconds * sampling_rate)) / sampling_rate
    phase = (time - 0.4) % cycle
    one = np.where(phase < 0.16, np.sin(np.pi / 2 * phase / 0.16) ** 2, (cycle - phase) / (cycle - 0.16))
    return one + (np.sin(2 * np.pi * 0.08 * time) if drift else 0)


@pytest.mark.parametrize("sampling_rate", [100, 125, 250])
def test_pulses_are_cut_from_foot_to_foot_at_100_hz(sampling_rate):
    found, starts = pulses.pulses(3 * wave(sampling_rate), sampling_rate)
    assert 34 <= len(found) <= 37 and {pulse.dtype for pulse in found} == {np.dtype(np.float32)}
    np.testing.assert_allclose(np.diff(starts), 80, atol=2)
    np.testing.assert_allclose((starts / 100 - 0.4 + 0.4) % 0.8 - 0.4, 0, atol=0.03)
    for pulse in found[1:-1]:
        assert pulse.max() == 1 and abs(pulse[0]) < 1e-6 and abs(len(pulse) - 80) <= 2
        assert type_of(pulse) == "1L"


def test_feet_are_those_of_the_undrifted_wave():
    with_drift, without = (pulses.feet(wave(100, drift=drift)) for drift in (True, False))
    assert len(with_drift) == len(without)
    assert np.abs(with_drift - without).max() <= 3


def test_level_puts_feet_at_zero_and_needs_two():
    x = pulses.smooth(wave(100), 100)
    feet = pulses.feet(x)
    level = pulses.level(x, feet)
    np.testing.assert_allclose(level[feet], 0, atol=1e-9)
    assert not level[: feet[0]].any() and not level[feet[-1] + 1 :].any()
    with pytest.raises(ValueError, match="needs two"):
        pulses.level(x, feet[:1])


def test_a_gap_between_feet_is_no_pulse():
    x = wave(100, drift=False)
    x[1000:1400] = x[1000]
    _, starts = pulses.pulses(x, 100)
    assert not ((starts > 1010) & (starts < 1300)).any() and len(starts) > 20


def test_signals_without_pulses():
    assert len(pulses.feet(np.zeros(500))) == 0
    with pytest.raises(ValueError, match="constant"):
        pulses.pulses(np.ones(500), 100)
    with pytest.raises(ValueError, match="NaN"):
        pulses.pulses(np.where(np.arange(500) == 3, np.nan, wave(100, 5)), 100)
    with pytest.raises(ValueError, match="samples or more"):
        pulses.pulses(np.arange(10.0), 100)
    with pytest.raises(ValueError, match="does not fit between 0 and half"):
        pulses.pulses(wave(100), 20)
    found, starts = pulses.pulses(np.arange(500.0), 100)
    assert found == [] and len(starts) == 0


LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=6)


@settings(max_examples=40)
@given(LENGTHS, st.integers(1, 120))
def test_crop_or_pad_keeps_the_middle_or_adds_zeros(lengths, width):
    padded, own = pulses.pad([np.arange(1, length + 1) for length in lengths])
    fitted = pulses.fit_width(padded, own, width, "crop-or-pad")
    assert fitted.shape == (len(lengths), width) and fitted.dtype == np.float32
    for row, length in zip(fitted, lengths, strict=True):
        start = max(length - width, 0) // 2
        expected = np.arange(1, length + 1)[start : start + width]
        assert np.array_equal(row[: len(expected)], expected) and not row[len(expected) :].any()


@settings(max_examples=40)
@given(LENGTHS, st.integers(2, 120))
def test_resample_is_numpys_interpolation_from_end_to_end(lengths, width):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=length).astype(np.float32) for length in lengths]
    padded, own = pulses.pad(rows)
    fitted = pulses.fit_width(padded[:, None], own, width, "resample")
    assert fitted.shape == (len(lengths), 1, width)
    for found, row in zip(fitted[:, 0], rows, strict=True):
        expected = np.interp(np.linspace(0, len(row) - 1, width), np.arange(len(row)), row)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_fit_width_says_what_does_not_fit():
    padded, own = pulses.pad([np.ones(5), np.ones(9)])
    with pytest.raises(ValueError, match="crop-or-pad or resample"):
        pulses.fit_width(padded, own, 5, "stretch")
    with pytest.raises(ValueError, match="width 0"):
        pulses.fit_width(padded, own, 0, "resample")
    with pytest.raises(ValueError, match="lengths 5 to 10 are not 1 to 9"):
        pulses.fit_width(padded, own + [0, 1], 5, "resample")
    assert pulses.fit_width(padded[:0], own[:0], 5, "resample").shape == (0, 5)
