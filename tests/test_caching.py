import copy
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from biosignals import caching, models
from biosignals.evaluation import scores as evaluation
from biosignals.signals import eeg_features, rhythm


class Counted:
    """Something to compute, and how often it was."""

    def __init__(self, value):
        self.value, self.calls = value, 0

    def __call__(self) -> np.ndarray:
        self.calls += 1
        return np.array([[self.value, 2.5]])


def changed(net):
    other = copy.deepcopy(net)
    next(other.parameters()).data[0] += 1
    return other


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "answers"
    caching.keep_in(place)
    return place


NET = models.create("student-4k", 1, 1)


@pytest.mark.parametrize(
    "one, other",
    [
        (np.arange(6), np.arange(6)[::-1]),
        (np.arange(6), np.arange(6).reshape(2, 3)),
        (np.zeros(4, np.float32), np.zeros(4, np.int32)),
        (None, np.zeros(0)),
        ("a recipe", "another"),
        (NET, changed(NET)),
        (NET, models.create("student-23k", 1, 1)),
        (evaluation, calibration),
    ],
)
def test_what_comes_from_something_else_is_computed_anew(one, other, folder):
    first, second = Counted(1.0), Counted(2.0)
    for source, compute in ((one, first), (other, second), (one, first), (other, second)):
        found = caching.array(lambda source=source: ("before", source, "after"), compute)
        np.testing.assert_array_equal(found, [[compute.value, 2.5]])
    assert (first.calls, second.calls) == (1, 1)


def test_two_sources_are_not_taken_for_one(folder):
    for number, sources in enumerate([("ab", "c"), ("a", "bc"), ("abc",), (np.arange(2), np.arange(3)), (np.arange(5),)]):
        assert caching.array(lambda sources=sources: sources, Counted(number))[0, 0] == number


def test_a_file_counts_by_what_it_holds(folder, tmp_path):
    one, copied = tmp_path / "one.onnx", tmp_path / "copied.onnx"
    one.write_bytes(b"weights"), copied.write_bytes(b"weights")
    counted = Counted(1.0)
    for path in (one, copied):
        caching.array(lambda path=path: (path,), counted)
    assert counted.calls == 1
    one.write_bytes(b"WEIGHTS")
    caching.array(lambda: (one,), counted)
    assert counted.calls == 2


def test_other_code_computes_anew(folder, tmp_path):
    modules = []
    for name, code in {"first": "x = 1\n", "second": "x = 2\n"}.items():
        (tmp_path / f"{name}.py").write_text(code)
        modules.append(ModuleType("same"))
        modules[-1].__file__ = str(tmp_path / f"{name}.py")
    for number, module in enumerate(modules):
        assert caching.array(lambda module=module: (module,), Counted(number))[0, 0] == number


def test_the_code_of_a_module_is_that_of_what_it_imports_too():
    found = caching.code(rhythm)
    assert found == caching.code(rhythm) and any("def rhythm_features" in text for text in found)
    assert any("def bandpass" in text for text in found)  # of the filters
    assert not any("class ndarray" in text for text in found) and len(found) < 10


def test_without_a_folder_nothing_is_kept_and_sources_are_not_asked():
    counted = Counted(1.0)
    for _ in range(2):
        caching.array(lambda: pytest.fail("asked"), counted)
    assert counted.calls == 2


def test_what_failed_leaves_nothing(folder):
    def fail():
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        caching.array(lambda: ("a",), fail)
    assert not folder.exists()
    assert caching.array(lambda: ("a",), Counted(3.0))[0, 0] == 3
    assert [path.suffix for path in folder.iterdir()] == [".npy"]


@pytest.mark.parametrize("made", [np.float32([[1, 2], [3, 4]]), pd.DataFrame({"RR": np.float32([1, np.nan]), "QRS, s": [0.1, 0.2]})])
def test_a_function_is_not_called_again_for_the_same_arguments(made, folder):
    calls = []

    @caching.result
    def describe(x, rate, leads=None):
        calls.append(rate)
        return made

    describe.__wrapped__.__module__ = "biosignals.signals.rhythm"
    same = made.equals if isinstance(made, pd.DataFrame) else lambda found: np.array_equal(found, made)
    for _ in range(2):
        assert same(describe(np.arange(3), 100)) and same(describe(np.arange(3), 100, leads=["I"]))
        assert same(describe(np.arange(3), 50)) and same(describe(np.arange(4), 50))
    assert calls == [100, 100, 50, 50]
    with pytest.raises(TypeError):
        describe(np.arange(3))


def test_features_of_records_are_kept_with_their_names(folder):
    x = np.random.default_rng(0).normal(size=(3, 2, 640))
    first = eeg_features.eeg_features(x, 64)
    files = {path: np.load(path) for path in folder.iterdir()}
    pd.testing.assert_frame_equal(eeg_features.eeg_features(x, 64), first)
    caching.keep_in(None)
    pd.testing.assert_frame_equal(eeg_features.eeg_features(x, 64), first)
    assert [list(found.dtype.names) for found in files.values()] == [list(first.columns)]
