import neurokit2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from biosignals.signals import rhythm
from biosignals.signals.rhythm import FEATURES, rhythm_features, rr_intervals
from biosignals.simulate import heart, noise

IRREGULAR = np.array([0.80, 0.62, 1.05, 0.71, 0.93, 0.58, 1.21, 0.66, 0.88, 0.75, 1.02])


def ecg(rr, sampling_rate=500, p_wave=0.12, tremble=0.0):
    """A lead with beats `rr` seconds apart: P, R and T waves, and waves of 6 Hz between the beats."""
    beats = 0.7 + np.concatenate([[0], np.cumsum(rr)])
    t = np.arange(0, beats[-1] + 0.7, 1 / sampling_rate)
    waves = ((p_wave, -0.16, 0.022), (1.0, 0.0, 0.011), (-0.2, 0.03, 0.01), (0.25, 0.27, 0.04))
    lead = sum(a * np.exp(-0.5 * ((t - beat - b) / c) ** 2) for beat in beats for a, b, c in waves)
    slow = 0.01 * np.random.default_rng(0).normal(size=len(t)).cumsum() / np.sqrt(len(t))
    return lead + tremble * np.sin(2 * np.pi * 6.1 * t) + slow


def one(x, sampling_rate=500):
    return rhythm_features(x, sampling_rate).iloc[0]


@pytest.mark.parametrize("sampling_rate", [128, 300, 500])
def test_intervals_are_those_of_the_beats(sampling_rate):
    found = rr_intervals(ecg(IRREGULAR, sampling_rate), sampling_rate)
    assert found.shape == (1, 10) and found.dtype == np.float32
    assert np.abs(found[0] - IRREGULAR[:10]).max() < 0.009  # two samples at 250 Hz


def test_missing_intervals_are_zeros():
    found = rr_intervals(ecg(IRREGULAR[:4]), 500)
    assert np.abs(found[0, :4] - IRREGULAR[:4]).max() < 0.009 and not found[0, 4:].any()


def test_features_of_the_intervals_are_those_of_their_formulas():
    found, rr = one(ecg(IRREGULAR)), IRREGULAR
    change = np.diff(rr)
    expected = {
        "RR_median": np.median(rr),
        "RR_mad": np.median(np.abs(rr - np.median(rr))) / np.median(rr),
        "RMSSD": np.sqrt(np.mean(change**2)) / rr.mean(),
        "pNN50": np.mean(np.abs(change) > 0.05),
        "turning_points": 1.0,  # these go up and down all the time
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=0.01), name


def test_interval_features_agree_with_neurokit():
    rr = np.random.default_rng(1).uniform(0.5, 1.2, 60).round(3)
    found = rhythm._interval_features(rr)
    found = dict(zip(FEATURES, found))
    reference = neurokit2.hrv_time(np.cumsum([1000, *np.rint(1000 * rr)]).astype(int), 1000).iloc[0]
    assert found["RR_median"] == pytest.approx(reference["HRV_MedianNN"] / 1000)
    assert found["RMSSD"] == pytest.approx(reference["HRV_RMSSD"] / reference["HRV_MeanNN"])
    assert found["RR_mad"] == pytest.approx(
        reference["HRV_MadNN"] / 1.4826 / reference["HRV_MedianNN"], rel=1e-3
    )


def test_intervals_alone_give_the_features_that_the_signal_gives():
    rr = np.random.default_rng(0).uniform(0.6, 1.0, 20).astype(np.float32)
    padded = np.zeros((3, 30), np.float32)
    padded[0, :20], padded[1, :2] = rr, 0.8
    found = rhythm.interval_features(padded)
    assert list(found) == list(rhythm.FEATURES[:9])
    np.testing.assert_allclose(found.iloc[0], rhythm._interval_features(rr), rtol=1e-5)
    assert (found.iloc[1:] == 0).all(axis=None)
    repeated = rhythm.repeat_intervals(padded, 25)
    np.testing.assert_array_equal(repeated[0], np.concatenate([rr, rr[:5]]))
    np.testing.assert_array_equal(repeated[1], np.float32(0.8))
    assert not repeated[2].any()


def test_sample_entropy_agrees_with_neurokit():
    rr = np.random.default_rng(2).uniform(0.6, 1.0, 80)
    reference, _ = neurokit2.entropy_sample(rr, dimension=1, tolerance=0.03)
    assert rhythm._sample_entropy(rr) == pytest.approx(reference + np.log(2 * 0.03 / rr.mean()), rel=1e-6)


def test_entropy_is_nothing_for_equal_and_one_for_different_values():
    assert rhythm._shannon_entropy(np.ones(9)) == 0
    assert rhythm._shannon_entropy(np.arange(9)) == pytest.approx(1)


def test_an_early_beat_with_its_pause_is_ectopic_and_little_else_is():
    early = np.array([0.8, 0.8, 0.8, 0.55, 1.05, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8])
    assert one(ecg(early))["ectopic"] == pytest.approx(0.1)
    assert one(ecg(np.full(11, 0.8)))["ectopic"] == 0


def test_p_waves_are_seen_where_they_are():
    with_p, without = one(ecg(IRREGULAR, tremble=0.01)), one(ecg(IRREGULAR, p_wave=0, tremble=0.01))
    assert with_p["P_consistency"] > 0.6 and without["P_consistency"] < 0.2
    assert with_p["P_size"] > without["P_size"] + 1
    assert with_p["P_jitter"] < without["P_jitter"]


def test_trembling_atria_are_seen_between_the_beats():
    calm, trembling = one(ecg(IRREGULAR)), one(ecg(IRREGULAR, tremble=0.05))
    assert trembling["f_energy"] > calm["f_energy"] + 1
    assert trembling["beat_correlation"] < calm["beat_correlation"]


@pytest.mark.parametrize("change", [lambda x: -x, lambda x: 1000 * x, lambda x: x + 5])
def test_polarity_unit_and_offset_do_not_matter(change):
    x = ecg(IRREGULAR, tremble=0.02)
    pd.testing.assert_series_equal(one(change(x)), one(x), rtol=1e-3, atol=1e-4)


def test_the_sampling_rate_hardly_matters():
    low, high = one(ecg(IRREGULAR, 300, tremble=0.02), 300), one(ecg(IRREGULAR, 500, tremble=0.02), 500)
    assert (low - high).abs().max() < 0.2


def test_a_long_record_is_described_like_its_parts():
    rr = np.tile([0.8, 0.85, 0.9, 0.85], 15)
    long, short = one(ecg(rr)), one(ecg(rr[:11]))
    assert len(ecg(rr)) > 50 * 500
    assert (long - short).abs().drop("P_size").max() < 0.1


def test_padding_does_not_count():
    x = ecg(IRREGULAR)
    padded = np.stack([np.pad(x, (0, 7000)), np.pad(x, (7000, 0))])
    found = rhythm_features(padded[:, None], 500, lengths=[len(x), padded.shape[1]])
    pd.testing.assert_series_equal(found.iloc[0], one(x), check_names=False)
    assert np.array_equal(
        rr_intervals(padded, 500, lengths=[len(x), 7000]), [rr_intervals(x, 500)[0], np.zeros(10)]
    )


def test_records_without_a_rhythm_have_zeros():
    records = np.zeros((3, 5000))
    records[1] = 0.3
    records[2, 2000:2100] = ecg(IRREGULAR)[300:400]  # one beat
    found = rhythm_features(records, 500)
    assert list(found) == list(FEATURES) and (found == 0).all(axis=None)
    assert (rhythm_features(ecg(IRREGULAR)[None, :300], 500) == 0).all(axis=None)
    assert rhythm_features(np.zeros((0, 5000)), 500).shape == (0, len(FEATURES))


@settings(max_examples=15)
@given(
    arrays.arrays(np.float32, st.integers(1, 3000), elements=st.floats(-(2.0**20), 2.0**20, width=32)),
    st.sampled_from([100, 300, 500]),
)
def test_whatever_is_recorded_the_features_are_finite(x, sampling_rate):
    assert np.isfinite(rhythm_features(x, sampling_rate)).all(axis=None)
    assert np.isfinite(rr_intervals(x, sampling_rate)).all()


def test_noise_has_finite_features():
    found = rhythm_features(np.random.default_rng(0).normal(size=(4, 3000)), 300)
    assert np.isfinite(found).all(axis=None)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gaps_are_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinity"):
        rhythm_features(np.array([[0.0, bad]]), 500)
    with pytest.raises(ValueError, match="expected \\(records, samples\\)"):
        rhythm_features(np.zeros((2, 12, 5000)), 500)


def test_fibrillation_differs_from_sinus_rhythm():
    fibrillating, sinus = (
        rhythm_features(np.stack([simulated(kind, seed) for seed in range(6)]), 250)
        for kind in (heart.fibrillation, heart.sinus)
    )
    for name in ("RR_mad", "RMSSD", "sample_entropy", "change_entropy"):
        assert fibrillating[name].median() > sinus[name].quantile(0.9), name
    assert fibrillating["P_consistency"].median() < sinus["P_consistency"].quantile(0.1)


def simulated(kind, seed):
    """Lead I of ten seconds, 250 Hz."""
    rng = np.random.default_rng(seed)
    own, beats = heart.healthy(rng), kind(rng, 10, 75)
    leads = heart.leads(heart.electrodes(own, beats, 2500, 250, rng) + noise.disturb(rng, 9, 2500, 250))
    return leads[0]


def test_every_feature_has_a_name_in_words():
    assert tuple(rhythm.LABELS) == FEATURES and len(set(rhythm.LABELS.values())) == len(FEATURES)
