"""What is public says what it does: arrays by name, the shape of what comes back, errors by class."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[1] / "lib" / "biosignals"

# A method that PyTorch, Lightning or scikit-learn calls is documented by its class.
HOOKS = {
    "forward",
    "fit",
    "predict",
    "predict_proba",
    "training_step",
    "validation_step",
    "configure_optimizers",
}
SIZE = r"(?!(?:19|20)\d\d\b)[\w.]+(?: ?[-+*/] ?\w+)*"
SHAPE = re.compile(
    rf"\((?:{SIZE},|{SIZE}(?:, {SIZE})+)\)|(?:same|their|its|the) shape|shaped? (?:of|like|as)"
)


def faults(source: str) -> list[str]:
    """What the docstrings of a module's public functions and methods leave out, a line `name: fault` each."""
    found = []
    for name, function, around in public_functions(ast.parse(source)):
        own = ast.get_docstring(function) or ""
        if not own and function.name not in HOOKS:
            found.append(f"{name}: no docstring")
            continue
        text = f"{own}\n{around}"
        found += [
            f"{name}: array {array} is not named"
            for array in array_parameters(function)
            if not says(text, array)
        ]
        if own and is_array(function.returns) and not SHAPE.search(own):
            found.append(f"{name}: returns an array of no stated shape")
        found += [
            f"{name}: does not say that it raises {error}"
            for error in raised(function)
            if not says(text, error)
        ]
    return found


def public_functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """The name, the definition and the docstring of the class around it, of each public function and method."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node, ""
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            around = ast.get_docstring(node) or ""
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield f"{node.name}.{method.name}", method, around


def array_parameters(function: ast.FunctionDef) -> list[str]:
    """The names of the parameters that are annotated as arrays or tensors."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument.arg for argument in every if is_array(argument.annotation)]


def is_array(annotation: ast.expr | None) -> bool:
    """Whether an annotation speaks of an array or a tensor, other than as a function's argument or result."""
    if annotation is None:
        return False
    if isinstance(annotation, ast.Constant):
        annotation = ast.parse(str(annotation.value), mode="eval").body
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Callable"):
        return False
    if isinstance(annotation, ast.Name | ast.Attribute):
        return ast.unparse(annotation).split(".")[-1] in {"ndarray", "Tensor", "ArrayLike"}
    return any(is_array(part) for part in ast.iter_child_nodes(annotation) if isinstance(part, ast.expr))


def raised(function: ast.FunctionDef) -> list[str]:
    """The classes of the exceptions that a function's body raises."""
    errors = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            errors.add(ast.unparse(error).split(".")[-1])
    return sorted(error for error in errors if error[0].isupper())


def says(text: str, word: str) -> bool:
    """Whether a text has a word, as it is spelt."""
    return re.search(rf"\b{re.escape(word)}\b", text) is not None


@pytest.mark.parametrize(
    "path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: str(path.relative_to(LIBRARY))
)
def test_docstrings_of_the_public_interface(path):
    assert faults(path.read_text()) == []
