"""Studies on disk: found, resumed, shared, refused; what is in them is never lost."""

import contextlib
import math
import multiprocessing
import os
import signal
import sqlite3
import tempfile
import time

import optuna
import pytest

from biosignals.training import tuning

SPACE = {
    "learning_rate": ("log", 1e-5, 1e-1),
    "dropout": ("float", 0, 0.5),
    "batch_size": ("choice", [32, 64, 128]),
    "epochs": ("int", 5, 20),
}
X = {"x": ("float", 0, 1)}


def closeness(trial, settings):
    """Best at a learning rate of .001 and a batch of 64."""
    return -abs(math.log10(settings["learning_rate"]) + 3) - (settings["batch_size"] != 64)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file for studies of many names: making its tables takes longer than most tests."""
    return tmp_path_factory.mktemp("studies") / "studies.db"


def worker(file, name, trials, seconds):
    """Another process that tunes x, with trials of some seconds, and soon notices when one was killed."""

    def objective(trial, settings):
        trial.set_user_attr("process", os.getpid())
        time.sleep(seconds)
        return settings["x"]

    def work():
        tuning.HEARTBEAT, tuning.SILENCE = 1, 2
        tuning.tune(objective, X, trials, file, name)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


GRID = {"learning_rate": ("choice", [1e-4, 1e-3]), "batch_size": ("choice", [32, 64, 128])}


def test_a_grid_tries_every_combination_once_and_goes_on_after_an_interruption(file):
    tuning.tune(closeness, GRID, 2, file, "grid", sampler="grid")
    study = tuning.tune(closeness, GRID, 6, file, "grid", sampler="grid")
    tried = tuning.trials_table(study)[["learning_rate", "batch_size"]]
    assert len(tried) == 6 and not tried.duplicated().any()
    assert study.best_params == {"learning_rate": 1e-3, "batch_size": 64}


def test_random_search_draws_the_same_after_an_interruption(file):
    tuning.tune(closeness, SPACE, 2, file, "random, in parts", sampler="random")
    parts = tuning.tune(closeness, SPACE, 4, file, "random, in parts", sampler="random")
    whole = tuning.tune(closeness, SPACE, 4, file, "random, at once", sampler="random")
    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]
    assert len({trial.params["learning_rate"] for trial in whole.trials}) == 4


def test_the_setting_that_matters_is_the_important_one(file):
    study = tuning.tune(closeness, SPACE, 20, file, "importance", sampler="random")
    found = tuning.importances(study)
    assert next(iter(found)) == "learning_rate" and sum(found.values()) == pytest.approx(1)
    alone = tuning.tune(closeness, SPACE, 1, file, "one trial")
    assert tuning.importances(alone) == dict.fromkeys(SPACE, 0)


def test_samplers_that_cannot_be_are_refused(file):
    with pytest.raises(ValueError, match="give learning_rate, dropout, epochs as"):
        tuning.tune(closeness, SPACE, 1, file, "no grid", sampler="grid")
    with pytest.raises(ValueError, match="tpe, random or grid"):
        tuning.tune(closeness, SPACE, 1, file, "other", sampler="sobol")


def test_tuning_finds_what_is_good_within_the_space(file):
    study = tuning.tune(closeness, SPACE, 20, file, "good", seed=0)
    table = tuning.trials_table(study)

    assert len(table) == 20 and set(table.state) == {"complete"}
    assert list(table) == ["state", "score", "seconds", *sorted(SPACE)]
    assert table.learning_rate.between(1e-5, 1e-1).all() and table.dropout.between(0, 0.5).all()
    assert table.epochs.between(5, 20).all() and set(table.batch_size) <= {32, 64, 128}
    assert study.best_value == table.score.max() > -0.3
    assert study.best_params["batch_size"] == 64


def test_a_resumed_study_is_the_one_that_ran_at_once(file):
    def objective(trial, settings):
        return settings["x"]

    once = tuning.tune(objective, X, 12, file, "once", seed=3)
    for trials in (5, 11, 12):  # after ten, TPE takes over from chance
        parts = tuning.tune(objective, X, trials, file, "parts", seed=3)
        assert len(parts.trials) == trials
    other = tuning.tune(objective, X, 1, file, "other", seed=4)
    once, parts, other = (tuning.trials_table(study).x for study in (once, parts, other))
    assert once.equals(parts)
    assert once.nunique() == 12  # a restart repeats nothing
    assert other[0] != once[0]


def test_a_finished_study_is_not_run_again(file):
    tuning.tune(closeness, SPACE, 2, file, "finished")

    def never(trial, settings):
        raise AssertionError

    assert len(tuning.tune(never, SPACE, 2, file, "finished").trials) == 2
    assert len(tuning.tune(closeness, SPACE, 1, file, "another finished").trials) == 1


@pytest.mark.slow
def test_a_killed_run_goes_on_and_its_settings_are_tried_again(file):
    killed = worker(file, "killed", 3, seconds=60)
    study = tuning.study("killed", file, 0, X)
    while not (study.trials and study.trials[0].params):
        time.sleep(0.1)
    time.sleep(0.5)  # for a first sign of life
    killed.kill()
    killed.join()

    again = worker(file, "killed", 3, seconds=1.5)  # at once, while the killed trial still looks alive
    again.join()
    table = tuning.trials_table(study)
    assert again.exitcode == 0
    assert (table.state == "complete").sum() == 3
    assert table.state[0] == "failed"
    assert (table.x[table.state == "complete"] == table.x[0]).sum() == 1


def test_two_processes_share_a_study(tmp_path):
    file = tmp_path / "shared.db"  # which they also create, at the same time
    workers = [worker(file, "shared", 6, seconds=0.4) for _ in range(2)]
    for each in workers:
        each.join()
    table = tuning.trials_table(tuning.study("shared", file, 0, X))
    assert [each.exitcode for each in workers] == [0, 0]
    assert 6 <= len(table) <= 7 and set(table.state) == {"complete"}
    assert table.x.nunique() == len(table)  # nothing was tried twice


@pytest.fixture(scope="module")
def server():
    """The URL of a PostgreSQL server of its own, with an empty database."""
    pgserver = pytest.importorskip("pgserver", reason="no PostgreSQL: the extra `postgresql` brings one")
    pytest.importorskip("psycopg", reason="no driver of PostgreSQL: the extra `postgresql` brings one")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        running = pgserver.get_server(folder, cleanup_mode="stop")
        yield running.get_uri()
        running.cleanup()


@pytest.mark.slow
def test_three_workers_of_a_database_run_all_trials_once_though_one_is_killed(server):
    workers = [worker(server, "three", 9, seconds=1) for _ in range(3)]  # which also make the tables, at once
    deadline = time.monotonic() + 60
    ours = []
    while not ours:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        with contextlib.suppress(ValueError):  # while the tables are made
            trials = tuning.study("three", server, 0, X).trials
            ours = [
                t
                for t in trials
                if t.user_attrs.get("process") == workers[0].pid and not t.state.is_finished()
            ]
    time.sleep(0.5)  # for a first sign of life
    workers[0].kill()
    for each in workers:
        each.join()

    table = tuning.trials_table(tuning.study("three", server, 0, X))
    complete, failed = (table[table.state == state] for state in ("complete", "failed"))
    assert [each.exitcode for each in workers] == [-signal.SIGKILL, 0, 0]
    assert 9 <= len(complete) <= 11 and len(failed) == 1 and len(table) == len(complete) + 1
    assert complete.x.nunique() == len(complete)  # nothing was tried twice
    assert failed.x.isin(complete.x).all()  # and nothing lost


def test_a_database_that_is_not_there_is_told(tmp_path):
    pytest.importorskip("psycopg", reason="no driver of PostgreSQL: the extra `postgresql` brings one")
    url = f"postgresql+psycopg://reader:secret@/studies?host={tmp_path}"
    with pytest.raises(ValueError, match="see that the server runs") as told:
        tuning.study("toy", url, 0, X)
    assert "secret" not in str(told.value)


def test_poor_trials_are_pruned_and_count(file):
    def objective(trial, settings):
        report = tuning.reporter(trial, "validation_auroc")
        for epoch in range(3):
            report(epoch, {"validation_auroc": -trial.number, "validation_loss": 0.0})
        return -trial.number

    study = tuning.tune(objective, X, 7, file, "pruned")
    table = tuning.trials_table(study)
    assert table.state.tolist() == ["complete"] * 5 + ["pruned"] * 2
    assert study.trials[6].intermediate_values == {0: -6}


@pytest.mark.parametrize("scores", [{"validation_auroc": math.nan}, {"validation_auprc": 0.5}])
def test_a_trial_is_not_judged_by_a_score_that_is_none(file, scores):
    def objective(trial, settings):
        tuning.reporter(trial, "validation_auroc")(1, scores)
        return 1.0

    with pytest.raises(
        ValueError, match="no validation_auroc to judge trial 0 by .* records of both classes"
    ):
        tuning.tune(objective, X, 1, file, f"judged by {scores}")


def test_an_error_ends_the_run_and_the_next_one_goes_on(file):
    def breaks(trial, settings):
        if trial.number == 1:
            raise OSError("disk full")
        return 1.0

    with pytest.raises(OSError, match="disk full"):
        tuning.tune(breaks, SPACE, 3, file, "error")
    table = tuning.trials_table(tuning.tune(breaks, SPACE, 3, file, "error"))
    assert table.state.tolist() == ["complete", "failed", "complete", "complete"]


def test_a_score_that_is_not_a_number_ends_the_run(file):
    with pytest.raises(ValueError, match="trial 0 of study nan scored nan"):
        tuning.tune(lambda trial, settings: math.nan, SPACE, 3, file, "nan")


def test_another_search_space_is_refused_and_nothing_lost(file):
    tuning.tune(closeness, SPACE, 2, file, "space")
    other = SPACE | {"epochs": ("int", 5, 30)}
    with pytest.raises(ValueError, match="study file from another search space"):
        tuning.tune(closeness, other, 3, file, "space")
    assert len(tuning.tune(closeness, SPACE, 3, file, "space").trials) == 3
    reordered = {setting: list(SPACE[setting]) for setting in reversed(SPACE)}  # as from a YAML file
    assert len(tuning.study("space", file, 0, reordered).trials) == 3


@pytest.mark.parametrize("damage", ["text", "cut", "overwritten", "other"])
def test_files_that_are_no_study_are_refused_and_left_as_they_are(file, tmp_path, damage):
    tuning.study("whole", file, 0, X)
    whole = file.read_bytes()
    file = tmp_path / "study.db"
    if damage == "text":
        file.write_text("no database at all, but long enough for one\n" * 100)
    elif damage == "other":
        with sqlite3.connect(file) as database:
            database.execute("CREATE TABLE patients (name TEXT)")
    else:
        half = len(whole) // 2
        file.write_bytes(whole[:half] if damage == "cut" else whole[:half] + b"x" * (len(whole) - half))
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"study\.db: .*(damaged|not a study file)"):
        tuning.tune(closeness, SPACE, 1, file, "toy")
    assert file.read_bytes() == before


def test_storage_may_be_a_url_or_a_file_with_an_odd_name(tmp_path):
    file = tmp_path / "a study? 100%#1.db"
    tuning.study("toy", file, 0, SPACE)
    assert file.is_file()
    url = f"sqlite:///{tmp_path / 'url.db'}"
    assert len(tuning.tune(closeness, SPACE, 1, url, "toy").trials) == 1
    assert len(tuning.tune(closeness, SPACE, 2, tmp_path / "url.db", "toy").trials) == 2


@pytest.mark.parametrize(
    "allowed",
    [("log", 0, 1), ("log", 2, 1), ("int", 0.5, 2), ("float", 0, math.inf), ("choice", []), ("choice",),
     ("uniform", 0, 1), ("choice", [[1]]), 5, "log"],
    ids=str,
)  # fmt: skip
def test_spaces_that_are_not_well_formed_are_refused(tmp_path, allowed):
    with pytest.raises(ValueError, match="^rate: "):
        tuning.tune(closeness, {"rate": allowed}, 1, tmp_path / "study.db", "toy")
    with pytest.raises(ValueError, match="empty"):
        tuning.tune(closeness, {}, 1, tmp_path / "study.db", "toy")
    assert not list(tmp_path.iterdir())


def test_a_study_without_trials_has_an_empty_table(file):
    assert len(tuning.trials_table(tuning.study("empty", file, 0, SPACE))) == 0


def test_a_study_whose_trials_all_run_has_a_table(file):
    tuning.study("running", file, 0, SPACE).ask()
    table = tuning.trials_table(tuning.study("running", file, 0, SPACE))
    assert table.state.tolist() == ["running"] and table.seconds.isna().all()


def test_optuna_stays_quiet(file, capfd, recwarn):
    tuning.tune(closeness, SPACE, 2, file, "quiet")
    out, errors = capfd.readouterr()
    assert out == "" and "Trial" not in errors and "I 20" not in errors
    assert not [w for w in recwarn if issubclass(w.category, optuna.exceptions.ExperimentalWarning)]
