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
    how = {"sampling_rate": arguments.sampling_rate, "unit": arguments.unit}
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
        "predict", help="classes with probabilities, for WFDB, EDF, CSV and HDF5 files"
    )
    predict.add_argument("files", nargs="+", type=Path, metavar="FILE")
    predict.add_argument("--model", type=Path, help="an .onnx file with its card beside it")
    predict.add_argument("--models", type=Path, default=models_folder(), metavar="FOLDER",
                         help="without --model: ask every model here whose channels the recording has "
                              "(default: the project's)")  # fmt: skip
    predict.add_argument(
        "--sampling-rate", type=float, metavar="HZ", help="of CSV files without a column `time`"
    )
    predict.add_argument("--unit", default="mV", help="of CSV files: V, mV or uV (default: %(default)s)")
    return parser.parse_args()


def models_folder() -> Path:
    """The project's models: below the current folder, or else where this library is installed from."""
    return MODELS if MODELS.is_dir() else Path(__file__).resolve().parents[2] / MODELS


if __name__ == "__main__":
    sys.exit(main())
