"""Search for good settings with Optuna, in a study on disk: a killed run goes on, several may share the work.

A search space is a dict of setting > what it may be:

    {"learning_rate": ("log", 1e-5, 1e-3), "dropout": ("float", 0, 0.5), "epochs": ("int", 5, 20),
     "optimizer": ("choice", ["adam", "sgd"])}
"""

import contextlib
import json
import math
import sqlite3
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import sqlalchemy
from optuna import Study, Trial
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState

from biosignals.caching import locked
from biosignals.progress import tqdm

Space = dict[str, tuple]

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
HEARTBEAT = 60  # seconds between two signs of life of a running trial
ATTEMPTS = 10  # to make the tables of a database in which other processes make them too
SILENCE = 300  # seconds without one, after which it counts as killed and its settings are tried again


def tune(
    objective: Callable[[Trial, dict], float], space: Space, trials: int, storage: Path | str, name: str,
    seed: int = 0, sampler: str = "tpe",
) -> Study:  # fmt: skip
    """Try settings until the study has `trials` finished trials, earlier runs counted; maximises the score.

    objective: called with the trial and its settings, gives the score; it may raise optuna.TrialPruned, which
    finishes the trial too. Any other error ends the run and the trial counts as failed. Arguments else and
    errors as `study`.

    Processes that work on the same study at the same time begin a trial as long as `trials` are not finished,
    so that together they run at most one trial more for every further process. The settings of a killed trial
    are tried again once it has been silent for five minutes and trials are still wanted. Raises ValueError
    for scores that are not finite.
    """
    found = study(name, storage, seed, space, sampler)

    def score(trial: Trial) -> float:
        settings = suggest(trial, space)
        value = float(objective(trial, settings))
        if not math.isfinite(value):
            raise ValueError(f"trial {trial.number} of study {name} scored {value} with {settings}")
        return value

    with tqdm(
        total=trials, initial=_finished(found), desc=name, unit="trial", leave=False, file=sys.stderr
    ) as bar:

        def after_each(found: Study, trial: optuna.trial.FrozenTrial) -> None:
            bar.update(_finished(found) - bar.n)
            if _finished(found) >= trials:
                found.stop()

        if _finished(found) < trials:
            found.optimize(score, callbacks=[after_each])
    return found


def study(name: str, storage: Path | str, seed: int, space: Space, sampler: str = "tpe") -> Study:
    """Open the study called `name`, or create it, with the median rule.

    sampler: "tpe" (Bergstra et al. 2011), "random", or "grid", which tries each combination of a space of
    choices, in random order.
    storage: a file (SQLite; for processes of one machine), or the URL of a database that several machines
    reach. A trial's suggestion depends on the seed, the trial's number and the trials finished so far, and so
    not on restarts. Raises ValueError for a space that is not well formed, for a study made with another
    space, and for a file that is damaged or no study; what is in it stays as it was.
    """
    check_space(space)
    chosen = _sampler(sampler, seed, space)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if "://" in str(storage):
        return _open(name, sqlalchemy.make_url(str(storage)), chosen, space)
    path = Path(storage).resolve()
    with locked(path):
        _check_file(path)
        return _open(name, sqlalchemy.URL.create("sqlite", database=str(path)), chosen, space)


def suggest(trial: Trial, space: Space) -> dict:
    """The settings that `trial` is to try, one of each kind in `space`."""
    return {setting: _suggest(trial, setting, *allowed) for setting, allowed in space.items()}


def _suggest(trial: Trial, setting: str, kind: str, *allowed: Any) -> Any:
    if kind == "choice":
        return trial.suggest_categorical(setting, *allowed)
    if kind == "int":
        return trial.suggest_int(setting, *allowed)
    return trial.suggest_float(setting, *allowed, log=kind == "log")


def reporter(trial: Trial, score: str) -> Callable[[int, dict], None]:
    """What to call after each epoch with its number and scores; raises TrialPruned where `score` is poor.

    Poor is a best score so far below the median of what earlier trials had at the same epoch. Raises
    ValueError for a score that is not there or not finite, as one of validation records of one class.
    """

    def report(epoch: int, scores: dict) -> None:
        value = float(scores.get(score, math.nan))
        if not math.isfinite(value):
            raise ValueError(
                f"no {score} to judge trial {trial.number} by after epoch {epoch}, but {scores}: choose one "
                "of these, and validation records of both classes"
            )
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned(f"{score} {value:.3f} after epoch {epoch}")

    return report


def trials_table(study: Study) -> pd.DataFrame:
    """A row per trial: state (complete, pruned, failed, running...), score, seconds and a column per setting.

    The score of a pruned trial is its last one.
    """
    table = study.trials_dataframe(("number", "state", "value", "duration", "params"))
    if table.empty:
        return table
    names = {"number": "trial", "value": "score", "duration": "seconds"}
    table = table.rename(columns=lambda name: names.get(name, name.removeprefix("params_")))
    table["state"] = table["state"].str.lower().replace("fail", "failed")
    table["seconds"] = pd.to_timedelta(table["seconds"]).dt.total_seconds()  # none has ended: no times yet
    return table.set_index("trial")


def importances(study: Study) -> dict[str, float]:
    """How much of the scores' variance each setting explains, 0 to 1, the largest first (fANOVA, Hutter et
    al. 2014); zeros where fewer than two trials are complete or all score the same.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2:
        return dict.fromkeys(study.user_attrs["space"], 0.0)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def check_space(space: Space) -> None:
    """Raises ValueError naming the first setting of `space` that is not well formed."""
    if not space:
        raise ValueError("the search space is empty")
    for setting, allowed in space.items():
        match allowed:
            case ("choice", [_, *_] as values) if all(
                isinstance(v, str | int | float | None) for v in values
            ):
                continue
            case ("int", int(low), int(high)) if low <= high:
                continue
            case ("float", float() | int() as low, float() | int() as high) if (
                -math.inf < low <= high < math.inf
            ):
                continue
            case ("log", float() | int() as low, float() | int() as high) if 0 < low <= high < math.inf:
                continue
        raise ValueError(
            f'{setting}: {allowed} is none of ("log", low, high) with 0 < low, ("float", low, high), '
            '("int", low, high) and ("choice", [values])'
        )


def _sampler(name: str, seed: int, space: Space) -> BaseSampler:
    """The sampler called `name`. ValueError for another name, and for a grid of anything but choices."""
    if name == "grid":
        if others := [setting for setting, allowed in space.items() if allowed[0] != "choice"]:
            raise ValueError(f'a grid is one of choices: give {", ".join(others)} as ("choice", [values])')
        return GridSampler({setting: values for setting, (_, values) in space.items()}, seed)
    if name not in ("tpe", "random"):
        raise ValueError(f"sampler is tpe, random or grid, not {name!r}")
    return _SeededTpe(seed) if name == "tpe" else _SeededRandom(seed)


class _SeededTpe(TPESampler):
    """TPE with new chance for each trial: else every process and restart would repeat the same draws."""

    def __init__(self, seed: int):
        super().__init__(seed=seed)
        self.seed = seed

    def before_trial(self, study: Study, trial: optuna.trial.FrozenTrial) -> None:
        super().__init__(seed=(self.seed * 1_000_003 + trial.number) % 2**32)


class _SeededRandom(RandomSampler):
    """The same of settings drawn at random."""

    def __init__(self, seed: int):
        super().__init__(seed=seed)
        self.seed = seed

    def before_trial(self, study: Study, trial: optuna.trial.FrozenTrial) -> None:
        super().__init__(seed=(self.seed * 1_000_003 + trial.number) % 2**32)


def _open(name: str, url: sqlalchemy.URL, sampler: BaseSampler, space: Space) -> Study:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats
            found = optuna.create_study(
                storage=_connect(url), study_name=name, direction="maximize", load_if_exists=True,
                sampler=sampler, pruner=MedianPruner(),
            )  # fmt: skip
            optuna.storages.fail_stale_trials(found)
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        remedy = "name another file"
        if url.drivername != "sqlite":
            remedy = "see that the server runs, the database is there and the address is right"
        raise ValueError(f"{url}: no study can be opened there ({error}); {remedy}") from error
    wanted = json.loads(json.dumps(space))
    made_with = found.user_attrs.get("space", wanted)
    if made_with != wanted:
        raise ValueError(
            f"{url}: study file from another search space: {name} was made with {made_with};"
            " take that space, another name or another file"
        )
    found.set_user_attr("space", wanted)
    return found


def _connect(url: sqlalchemy.URL) -> RDBStorage:
    """The database at `url`, asked again where another process made its tables at the same moment."""
    attempts = ATTEMPTS
    while True:
        try:
            return RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs={"connect_args": {"timeout": 60}} if url.drivername == "sqlite" else None,
                heartbeat_interval=HEARTBEAT,
                grace_period=SILENCE,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=3),
            )
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
            attempts -= 1
            if not attempts:
                raise
            time.sleep(0.2)


def _check_file(path: Path) -> None:
    """ValueError where `path` holds something other than an undamaged database of studies."""
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
            (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
            tables = {
                table for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
    except sqlite3.Error as error:
        state, tables = str(error), set()
    if state != "ok":
        raise ValueError(f"{path}: damaged, or no study file ({state}); move it away or name another file")
    if tables and not tables & {"studies", "version_info"}:
        raise ValueError(f"{path}: a database of something else, not a study file; name another file")


def _finished(study: Study) -> int:
    return len(study.get_trials(deepcopy=False, states=FINISHED))
