"""`python -m biosignals predict FILE...`: predictions of exported models for recordings."""

import argparse
import sys
from pathlib import Path

from biosignals.data import readers
from biosignals.deployment import predict

MODELS = Path("book/reference/models")  # below the project's root


def main() -> int:
    """Print what models predict for each file; 1 if a file was refused, with the reason, else 0."""
    arguments = parse_arguments()
    how = {name: getattr(arguments, name) for name in ("sampling_rate", "unit", "record")}
    how["rename"] = dict(arguments.rename)
    refused = 0
    for file in arguments.files:
        try:
            if arguments.model:
                predictions = [predict.predict(file, arguments.model, **how)]
            else:
                predictions = predict_all(readers.read(file, **how), arguments.models)
        except readers.InvalidRecording as error:
            refused = 1
            print(f"refused: {error}", file=sys.stderr)
            continue
        for prediction in predictions:
            print(f"{readers.printable(file.name)}: {prediction}\n")
    return refused


def predict_all(signal: readers.Signal, folder: Path) -> list[predict.Prediction]:
    """What every model in a folder predicts that was made for such a recording.

    Of a model that knows the channels and still refuses, the reason is printed. Raises InvalidRecording, with
    what each model needs, where none fits.
    """
    predictions, reasons, models = [], {}, sorted(folder.glob("*.onnx"))
    for model in models:
        try:
            predictions.append(predict.predict(signal, model))
        except readers.InvalidRecording as error:
            reasons[model.stem] = error
    if not predictions:
        why = [f"  {name}: {reason}" for name, reason in reasons.items()]
        raise readers.InvalidRecording(
            f"no model in {folder} answers:", *(why or ["  it holds none; name one with --model"])
        )
    for name, reason in reasons.items():
        if not isinstance(reason, predict.MissingChannels):
            print(f"{readers.printable(name)} does not answer: {reason}", file=sys.stderr)
    return predictions


def parse_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m biosignals", description="Ask models about recordings.")
    verbs = parser.add_subparsers(required=True)
    predict = verbs.add_parser(
        "predict", help="classes with probabilities, for WFDB, EDF, BDF, CSV and HDF5 files"
    )
    predict.add_argument("files", nargs="+", type=Path, metavar="FILE")
    predict.add_argument("--model", type=Path, help="an .onnx file with its card beside it")
    predict.add_argument("--models", type=Path, default=models_folder(), metavar="FOLDER",
                         help="without --model: ask every model here whose channels the recording has "
                              "(default: the project's)")  # fmt: skip
    predict.add_argument(
        "--sampling-rate",
        type=float,
        metavar="HZ",
        help="of files that do not say it: CSV without a column `time`",
    )
    predict.add_argument("--unit", help="of CSV and HDF5 files that do not say it: V, mV or uV (default: mV)")
    predict.add_argument(
        "--record", help="which one, of files that hold several: an exam of CODE-15 %%, a row of Withings'"
    )
    predict.add_argument(
        "--rename", action="append", default=[], type=_renaming, metavar="NAME=CHANNEL",
        help="what a channel of the file is, as in ECG1=I; may be given several times",
    )  # fmt: skip
    return parser.parse_args()


def _renaming(text: str) -> tuple[str, str]:
    name, equals, channel = text.partition("=")
    if not (equals and name and channel):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=CHANNEL")
    return name, channel


def models_folder() -> Path:
    """The project's models: below the current folder, or else where this library is installed from."""
    return MODELS if MODELS.is_dir() else Path(__file__).resolve().parents[2] / MODELS


if __name__ == "__main__":
    sys.exit(main())
