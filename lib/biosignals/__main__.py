"""`python -m biosignals predict FILE...`: what a model to take away says of recordings."""

import argparse
import sys
from pathlib import Path

from biosignals import portable


def main() -> int:
    """Print a table per file; 1 if a file was refused, with the reason, else 0."""
    arguments = parse_arguments()
    refused = 0
    for file in arguments.files:
        try:
            found = portable.predict(file, arguments.model, arguments.sampling_rate)
        except portable.Refused as error:
            refused = 1
            print(f"refused: {error}", file=sys.stderr)
            continue
        print(f"{file}: {portable.read_card(arguments.model).model}")
        print(found.to_string(float_format="{:.3f}".format), end="\n\n")
    print("Probabilities of a model trained for teaching, of a training set unlike your patients. This is not a diagnosis.")
    return refused


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m biosignals", description="Ask a model about recordings.")
    verbs = parser.add_subparsers(required=True)
    predict = verbs.add_parser("predict", help="classes with probabilities, for WFDB, EDF, CSV and HDF5 files")
    predict.add_argument("files", nargs="+", type=Path, metavar="FILE")
    predict.add_argument("--model", type=Path, default=Path("book/reference/models/superclass.onnx"),
                         help="an .onnx file with its card beside it (default: %(default)s)")  # fmt: skip
    predict.add_argument("--sampling-rate", type=float, metavar="HZ", help="of CSV files without a column `time`")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
