import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from biosignals.signals.ecg_features import ecg_features, rhythm


def heart(beat_times, rate=100, seconds=10, st=0.0, qrs=0.012, leads=(1.0, 0.5)):
    """An ECG of Gaussian P, QRS and T waves, 1 mV tall in the first lead, and an ST segment at a level."""
    time = np.arange(seconds * rate) / rate
    ecg = np.zeros_like(time)
    for beat in beat_times:
        for centre, width, height in ((-0.16, 0.02, 0.1), (0.0, qrs, 1.0), (0.25, 0.04, 0.3)):
            ecg += height * np.exp(-0.5 * ((time - beat - centre) / width) ** 2)
        ecg += st * ((time > beat + 0.06) & (time < beat + 0.2))
    return np.outer(leads, ecg).astype(np.float32)


REGULAR = np.arange(0.5, 10, 0.8)
IRREGULAR = np.cumsum(np.random.default_rng(0).uniform(0.4, 1.2, 11))


def test_measures_what_was_put_in():
    features = ecg_features(np.stack([heart(REGULAR), heart(REGULAR, st=0.2, qrs=0.02)]), 100, ["I", "II"])
    assert features.heart_rate.tolist() == pytest.approx([75, 75])
    assert features.I_R.tolist() == pytest.approx([1, 1], abs=0.05)
    assert features.II_R.tolist() == pytest.approx([0.5, 0.5], abs=0.05)
    assert features.I_T_max.tolist() == pytest.approx([0.3, 0.3], abs=0.05)
    assert features.I_P_max.tolist() == pytest.approx([0.1, 0.1], abs=0.05)
    assert features.I_ST.tolist() == pytest.approx([0.0, 0.2], abs=0.07)
    assert features.QRS_width[1] > 1.3 * features.QRS_width[0]


def test_irregular_rhythm_has_larger_variability():
    features = ecg_features(np.stack([heart(REGULAR), heart(IRREGULAR)]), 100)
    assert features.RMSSD[0] < 0.02
    assert features.RMSSD[1] > 0.1


@pytest.mark.parametrize("rate", [100, 300, 500])
def test_features_hardly_depend_on_the_sampling_rate(rate):
    features = ecg_features(heart(REGULAR, rate)[None], rate).iloc[0]
    assert features.heart_rate == pytest.approx(75, abs=1)
    assert features["1_R"] == pytest.approx(1, abs=0.05)
    assert features["1_T_max"] == pytest.approx(0.3, abs=0.05)


def test_rows_do_not_depend_on_their_neighbours():
    x = np.stack([heart(REGULAR), heart(IRREGULAR), heart(REGULAR, st=0.3)])
    alone = ecg_features(x[1:2], 100)
    np.testing.assert_array_equal(ecg_features(x, 100).iloc[1:2].to_numpy(), alone.to_numpy())


def test_a_forest_accepts_a_flat_record():
    x = np.stack([heart(REGULAR), np.zeros((2, 1000), np.float32)])
    features = ecg_features(x, 100)
    assert features.iloc[1][["heart_rate", "1_R", "QRS_width"]].isna().all()
    assert not np.isinf(features.to_numpy()).any()
    RandomForestClassifier(2).fit(features, [0, 1])


def test_rhythm_of_known_beats():
    found = rhythm(np.array([0, 100, 180, 300]), 100)
    assert found["RR_mean"] == pytest.approx(1.0)
    assert found["heart_rate"] == pytest.approx(60)
    assert found["RMSSD"] == pytest.approx(np.sqrt((0.2**2 + 0.4**2) / 2))
    assert found["pNN50"] == 1.0


def test_refuses_what_it_cannot_measure():
    with pytest.raises(ValueError, match="shape"):
        ecg_features(np.zeros((2, 1000)), 100)
    x = heart(REGULAR)[None]
    x[0, 0, 10] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        ecg_features(x, 100)
