"""The command `biosignals`: predictions of exported models for files, scores on a reader's own recordings."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from biosignals.data import readers
from biosignals.deployment import output, predict
from biosignals.deployment.card import read_card

MODELS = Path("book/reference/models")  # below the project's root
PICTURES = (".png", ".svg", ".pdf")
ANSWERED, SOME_REFUSED, WRONG_USE = 0, 1, 2  # what the command ends with
INTERRUPTED, NOT_READ = 130, 141  # the same, as programs that a signal ends: Ctrl-C, and a closed pipe


class WrongUse(ValueError):
    """What was asked for cannot be done, whatever the recordings hold."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, None: that of the process; ANSWERED, SOME_REFUSED or WRONG_USE.

    INTERRUPTED and NOT_READ where it did not come to an end.
    """
    chosen = parse_arguments(arguments)
    try:
        status = chosen.verb(chosen)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print(f"\n{chosen.program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # of `| head`, say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be written
        return NOT_READ
    except (WrongUse, OSError) as error:
        print(f"{chosen.program}: {readers.printable(str(error))}", file=sys.stderr)
        return WRONG_USE


# predict


def run_predict(arguments: argparse.Namespace) -> int:
    """Answer for each file; refusals go to stderr, with the reason, and into JSON and CSV.

    Raises WrongUse for models, outputs or pictures that cannot be.
    """
    models = _models(arguments)
    records = [file for file in arguments.files if file.suffix.lower() in readers.WFDB]
    parts = [file.with_suffix(kind) for file in records for kind in readers.WFDB]
    _check_outputs(arguments, [*arguments.files, *parts, *_with_cards(models.values())])
    pictures = _pictures(arguments)
    replies = [
        _answer(file, models, arguments, pictures.get(file)) for file in _with_progress(arguments.files)
    ]
    _write(arguments.json, output.as_json, replies)
    _write(arguments.csv, output.as_csv, replies)
    return SOME_REFUSED if any(reply.refused is not None for reply in replies) else ANSWERED


def _models(arguments: argparse.Namespace) -> dict[str, Path]:
    """The models to ask, by name. Raises WrongUse for one without a card, and for none."""
    if arguments.model and arguments.model.is_dir():
        raise WrongUse(
            f"{arguments.model} is a folder: --models asks every model in it, --model takes a file"
        )
    if arguments.model:
        try:
            read_card(arguments.model)
        except readers.InvalidRecording as error:
            raise WrongUse(error) from error
        return {arguments.model.stem: arguments.model}
    models = {path.stem: path for path in sorted(arguments.models.glob("*.onnx"))}
    if not models:
        raise WrongUse(f"{arguments.models} holds no model: name one with --model")
    return models


def _with_cards(models: Iterable[Path]) -> list[Path]:
    return [file for model in models for file in (model, model.with_suffix(".json"))]


def _answer(
    file: Path, models: dict[str, Path], arguments: argparse.Namespace, place: Path | None
) -> output.Reply:
    """Read a recording, ask the models, and print what they say; place: of its picture, if one is wanted."""
    name, quiet = readers.printable(str(file)), bool(arguments.json or arguments.csv)
    try:
        signal = readers.read(file, **_how(arguments))
    except readers.InvalidRecording as error:
        reason = str(error).removeprefix(f"{readers.printable(file.name)}: ")
        reply = output.Reply(name, refused=reason)
        _print_reply(reply, quiet)
        return reply
    reply = _reply(name, signal, models, arguments)
    _print_reply(reply, quiet)
    if place and reply.predictions:
        _draw(signal, reply, models, place)
    return reply


def _reply(
    name: str, signal: readers.Signal, models: dict[str, Path], arguments: argparse.Namespace
) -> output.Reply:
    """What the models that were made for such a recording predict, of several for one task those that see
    most of its channels; refused where none is.
    """
    predictions, reasons = {}, {}
    for stem, model in models.items():
        try:
            predictions[readers.printable(stem)] = predict.predict(signal, model)
        except readers.InvalidRecording as error:
            reasons[readers.printable(stem)] = error
    if predictions:
        silent = {
            stem: str(error)
            for stem, error in reasons.items()
            if not isinstance(error, predict.MissingChannels)
        }
        return output.Reply(name, _of_most_channels(predictions), silent=silent)
    if arguments.model:
        return output.Reply(name, refused=str(next(iter(reasons.values()))))
    why = [f"  {stem}: {error}" for stem, error in reasons.items()]
    return output.Reply(name, refused="\n".join([f"no model in {arguments.models} answers:", *why]))


def _of_most_channels(predictions: dict[str, predict.Prediction]) -> dict[str, predict.Prediction]:
    """Those but of models for whose task another one saw more channels, and so knows better."""
    most: Counter[str] = Counter()
    for one in predictions.values():
        most[one.card.task] = max(most[one.card.task], len(one.card.channels))
    return {stem: one for stem, one in predictions.items() if len(one.card.channels) == most[one.card.task]}


def _how(arguments: argparse.Namespace) -> dict[str, Any]:
    how = {name: getattr(arguments, name) for name in ("sampling_rate", "unit", "record")}
    return how | {"rename": dict(arguments.rename)}


def _print_reply(reply: output.Reply, quiet: bool) -> None:
    """Answers to stdout, unless `quiet`, refusals to stderr; a progress bar stays below them."""
    name = Path(reply.file).name
    if reply.refused is not None:
        tqdm.write(f"refused: {name}: {reply.refused}", file=sys.stderr)
    for model, reason in reply.silent.items():
        tqdm.write(f"{name}: {model} does not answer: {reason}", file=sys.stderr)
    for prediction in () if quiet else reply.predictions.values():
        tqdm.write(f"{name}: {prediction}\n", file=sys.stdout)


def _with_progress(files: Sequence[Path]) -> Iterable[Path]:
    """The files, with a bar where there are several and stderr is a terminal."""
    return files if len(files) == 1 else tqdm(files, unit=" files", leave=False, disable=None)


# Pictures


def _pictures(arguments: argparse.Namespace) -> dict[Path, Path]:
    """Where each file's picture goes, nothing where none is wanted. Raises WrongUse where two would meet."""
    place, files = arguments.plot, arguments.files
    if place is None:
        return {}
    if place.suffix.lower() in PICTURES and not place.is_dir():
        if len(files) > 1:
            raise WrongUse(f"--plot {place} is one picture for {len(files)} recordings: name a folder")
        return {files[0]: place}
    if place.suffix and not place.is_dir():
        raise WrongUse(f"--plot {place}: pictures are {', '.join(PICTURES)}, or a folder of PNG files")
    names, count = {file: f"{file.name}.png" for file in files}, Counter(file.name for file in set(files))
    if twice := [name for name, number in count.items() if number > 1]:
        raise WrongUse(f"--plot {place}: several recordings are called {twice[0]}")
    return {file: place / name for file, name in names.items()}


def _draw(signal: readers.Signal, reply: output.Reply, models: dict[str, Path], place: Path) -> None:
    """Write the picture of a recording's answers."""
    import matplotlib

    matplotlib.use("agg")  # no window is opened
    from biosignals.deployment import explain, picture

    by_name = {readers.printable(stem): path for stem, path in models.items()}
    explanations = [explain.explain(signal, by_name[stem], one) for stem, one in reply.predictions.items()]
    figure = picture.draw(list(reply.predictions.values()), explanations, Path(reply.file).name)
    picture.save(figure, place)


# evaluate


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Scores of a model on a folder of recordings, as a table, JSON or CSV.

    Raises WrongUse for a table, labels or predictions that cannot be used.
    """
    versus = [arguments.versus] if arguments.versus else []
    _check_outputs(arguments, [arguments.labels, *_with_cards([arguments.model, *versus])], arguments.folder)
    from biosignals.deployment.evaluate import evaluate

    try:
        found = evaluate(
            arguments.folder, arguments.labels, arguments.model, arguments.versus,
            dict(arguments.label), arguments.sampling_rate, arguments.unit,
        )  # fmt: skip
    except ValueError as error:  # of the table, the labels or the model: recordings are refused one by one
        raise WrongUse(error) from error
    for name, reason in found.refused.items():
        print(f"refused: {readers.printable(name)}: {reason}", file=sys.stderr)
    if not (arguments.json or arguments.csv):
        print(output.scores_as_text(found))
    _write(arguments.json, output.scores_as_json, found)
    _write(arguments.csv, output.scores_as_csv, found)
    return SOME_REFUSED if found.refused else ANSWERED


# Files that are written


def _check_outputs(arguments: argparse.Namespace, inputs: Iterable[Path], folder: Path | None = None) -> None:
    """WrongUse where two outputs, or an output and an input, are one file, or a folder stands in the way.

    folder: holds recordings, none of which may be replaced either.
    """
    named = [Path(name) for name in (arguments.json, arguments.csv) if name not in (None, "-")]
    if arguments.json == arguments.csv == "-":
        raise WrongUse("--json - and --csv - would both go to standard output: give one a file")
    plot = getattr(arguments, "plot", None)
    places = [*named, *([plot] if plot and not plot.is_dir() else [])]
    taken = {path.resolve() for path in inputs}
    for place in places:
        if place.resolve() in taken:
            raise WrongUse(f"{place} is named twice, or would replace what is read: give it another name")
        taken.add(place.resolve())
        is_recording = place.suffix.lower() in readers.FILE_TYPES and place.is_file()
        if folder and is_recording and place.resolve().is_relative_to(folder.resolve()):
            raise WrongUse(
                f"{place} is there, among the recordings, and would be replaced: name another place"
            )
    for place in named:
        if place.is_dir():
            raise WrongUse(f"{place} is a folder: name a file")


def _write(name: str | None, convert: Any, found: Any) -> None:
    """Write what is found to the file that an option names, "-": to standard output; None: nowhere."""
    if name == "-":
        sys.stdout.write(convert(found))
    elif name is not None:
        output.write(convert(found), Path(name))


# The command line


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says; the process ends with WRONG_USE where it cannot be understood."""
    parser = argparse.ArgumentParser(
        prog="biosignals", description="Ask models about recordings.",
        epilog="Ends with 0 where all recordings are answered, 1 where some are refused, 2 for wrong use.",
    )  # fmt: skip
    parser.set_defaults(program=parser.prog)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_predict(verbs.add_parser(
        "predict", help="classes with probabilities, for WFDB, EDF, BDF, CSV and HDF5 files"
    ))  # fmt: skip
    _add_evaluate(verbs.add_parser(
        "evaluate", help="scores with intervals on recordings of your own, whose labels are known"
    ))  # fmt: skip
    return parser.parse_args(arguments)


def _add_predict(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(verb=run_predict)
    verb.add_argument("files", nargs="+", type=Path, metavar="FILE")
    verb.add_argument("--model", type=Path, help="an .onnx file with its card beside it")
    verb.add_argument("--models", type=Path, default=models_folder(), metavar="FOLDER",
                      help="without --model: ask every model here whose channels the recording has "
                           "(default: the project's)")  # fmt: skip
    verb.add_argument("--plot", type=Path, metavar="PATH",
                      help="draw leads, windows and where the model looked: a .png, .svg or .pdf file, "
                           "or a folder for a PNG file of each recording")  # fmt: skip
    verb.add_argument(
        "--record", help="which one, of files that hold several: an exam of CODE-15 %%, a row of Withings'"
    )
    verb.add_argument("--rename", action="append", default=[], type=_pair, metavar="NAME=CHANNEL",
                      help="what a channel of the file is, as in ECG1=I; may be repeated")  # fmt: skip
    _add_common(verb)


def _add_evaluate(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(verb=run_evaluate)
    verb.add_argument("folder", type=Path, metavar="FOLDER", help="holds the recordings")
    verb.add_argument("labels", type=Path, metavar="LABELS.csv",
                      help="a row each: file, subject, and a column of 0 and 1 for each class")  # fmt: skip
    verb.add_argument("--model", type=Path, required=True, help="an .onnx file with its card beside it")
    verb.add_argument("--versus", type=Path, metavar="OTHER",
                      help="compare with another model (.onnx) or with predictions (CSV or NPZ)")  # fmt: skip
    verb.add_argument("--label", action="append", default=[], type=_pair, metavar="CLASS=COLUMN",
                      help="the column of a class that has another name; may be repeated")  # fmt: skip
    _add_common(verb)


def _add_common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", metavar="FILE", help="write JSON, -: to standard output")
    verb.add_argument("--csv", metavar="FILE", help="write CSV, -: to standard output")
    verb.add_argument("--sampling-rate", type=float, metavar="HZ",
                      help="of files that do not say it: CSV without a column `time`")  # fmt: skip
    verb.add_argument("--unit", help="of CSV and HDF5 files that do not say it: V, mV or uV (default: mV)")


def _pair(text: str) -> tuple[str, str]:
    name, equals, other = text.partition("=")
    if not (equals and name and other):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=NAME")
    return name, other


def models_folder() -> Path:
    """The project's models: below the current folder, or else where this library is installed from."""
    return MODELS if MODELS.is_dir() else Path(__file__).resolve().parents[3] / MODELS
