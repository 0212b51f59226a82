"""What is public says what it does: arrays by name, the shape of what comes back, errors by class."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DEFINITION = ast.FunctionDef | ast.ClassDef
LIBRARY = Path(__file__).resolve().parents[1] / "lib" / "biosignals"

# Called by PyTorch, Lightning or scikit-learn: the class says what goes in and comes out.
HOOK = re.compile(
    r"forward|fit|predict|predict_proba|configure_\w+|training_step|validation_step|on_\w+|\w+_dataloader"
)
SIZE = r"(?!(?:19|20)\d\d\b)[\w.]+(?: ?[-+*/] ?\w+)*"
SHAPE = re.compile(
    rf"\((?:{SIZE},|{SIZE}(?:, {SIZE})+)\)|(?:same|their|its|the) shape|shaped? (?:of|like|as)"
)
REFERENCE = re.compile(r"\bas\s+`(\w+)`")


def faults(source: str) -> list[str]:
    """What the docstrings of a module's public functions and methods leave out, a line `name: fault` each.

    The docstring of the class around a method counts with its own, and so does that of a function of the
    module that it refers to: "else as `interval`".
    """
    found = []
    tree = ast.parse(source)
    written = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, DEFINITION)}
    for name, function, around in public_functions(tree):
        own = ast.get_docstring(function) or ""
        hook = HOOK.fullmatch(function.name) is not None and around != ""
        if not own and not hook:
            found.append(f"{name}: no docstring")
            continue
        text = with_references(f"{own}\n{around}", written)
        if not hook:
            arrays = [array for array in array_parameters(function) if not says(text, array)]
            found += [f"{name}: array {array} is not named" for array in arrays]
            if is_array(function.returns) and not SHAPE.search(with_references(own, written)):
                found.append(f"{name}: returns an array of no stated shape")
        errors = [error for error in raised(function) if not says(text, error)]
        found += [f"{name}: does not say that it raises {error}" for error in errors]
    return found


def with_references(text: str, written: dict[str, str]) -> str:
    """A docstring and those that it refers to, whose own references count too."""
    seen, new = set(), set(REFERENCE.findall(text))
    while new:
        seen |= new
        text += "".join(f"\n{written.get(name, '')}" for name in sorted(new))
        new = set(REFERENCE.findall(text)) - seen
    return text


def public_functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Of each public function and method: name, definition and the docstring of the class around it."""
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
    named = [argument for argument in every if not argument.arg.startswith("_")]
    return [argument.arg for argument in named if is_array(argument.annotation)]


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
    assert not faults(path.read_text())


COMPLETE = '''
def scale(signals: np.ndarray, factor: float | None = None) -> np.ndarray:
    """Signals in mV: `signals` (n, samples) times a factor, (n, samples). ValueError for an empty array."""
    if not len(signals):
        raise ValueError("nothing to scale")
    return signals * factor

def shrink(signals: np.ndarray) -> np.ndarray:
    """Divides instead; else as `scale`."""
    raise ValueError("nothing")

def shuffle(draw: Callable[[np.ndarray], np.ndarray], _: np.ndarray) -> "torch.Tensor":
    """A shuffled row, (samples,)."""
    try:
        return draw()
    except KeyError as error:
        raise error

def _private(x: np.ndarray) -> np.ndarray:
    raise KeyError

class Net(nn.Module):
    """Takes (batch, channels, samples), gives logits (batch, classes)."""

    def __init__(self, x: np.ndarray):
        raise ValueError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def embed(self, batch: torch.Tensor) -> torch.Tensor:
        """What the last layer sees, (batch, width)."""
'''

PLANTED = {
    "scale: no docstring": ('    """Signals in mV', '    text = """Signals in mV'),
    "scale: array signals is not named": ("in mV: `signals` (n", "in mV: an array (n"),
    "scale: returns an array of no stated shape": (
        "(n, samples) times a factor, (n, samples)",
        "times (Wang, 2020)",
    ),
    "scale: does not say that it raises ValueError": ("ValueError for", "Fails for"),
    "shrink: array signals is not named": ("; else as `scale`", ", of one shape: (n, samples). ValueError"),
    "shuffle: returns an array of no stated shape": ("row, (samples,)", "row (samples)"),
    "shuffle: does not say that it raises KeyError": ("raise error", "raise errors.KeyError(1)"),
    "Net.embed: array pulses is not named": ("batch: torch.Tensor", "pulses: torch.Tensor | None"),
    "Net.forward: does not say that it raises TypeError": ("return x\n", "raise TypeError\n"),
}


def test_complete_docstrings_have_no_fault():
    assert faults(COMPLETE) == []


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault):
    source = COMPLETE.replace(*PLANTED[fault])
    assert source != COMPLETE
    assert fault in faults(source)
