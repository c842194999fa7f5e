"""The house rules that a reader would otherwise have to check by eye: import directions, file sizes, a quick start."""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from textome.encoders import ENCODERS, encoder_of_folder
from textome.tasks import TASKS

SOURCE = Path(__file__).resolve().parent.parent / "src" / "textome"
MAX_LINES = 450
MAX_MODULES = 25
HELP_TIMES = 2
HEAVY = ("torch", "onnxruntime", "transformers", "fastapi", "uvicorn", "prometheus_client", "PIL")
# What the first entity of the bundled model in a plain text does not need, besides.
NOT_FOR_A_START = (
    *(name for name in HEAVY if name != "onnxruntime"),
    "huggingface_hub",
    "lxml",
    "pandas",
    "requests",
    "rich",
    "scipy",
    "multiprocessing.pool",
    "textome.runtime.hugging_face",
    "textome.formats.pubmed_xml",
    "textome.training",
    "textome.evaluation",
)

# What each part may import besides itself. A part is a folder or a module at the top of the package.
_BELOW_TASKS = {
    "vocabularies",
    "metrics",
    "datasets",
    "inputs",
    "text",
    "formats",
    "documents",
    "settings",
    "errors",
    "escapes",
    "patterns",
    "version",
}
_BELOW_RUNTIME = {"processors", "encoders", "tasks", *_BELOW_TASKS}
_BELOW_TRAINING = {"linking", "corpus", "workers", "pipeline", "steps", "runtime", *_BELOW_RUNTIME}
_BELOW_COMMANDS = {"training", "evaluation", "explain", *_BELOW_TRAINING}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "patterns": set(),
    "escapes": set(),
    "processors": set(),
    "version": set(),
    "settings": {"errors"},
    "documents": {"errors"},
    "formats": {"documents", "errors", "escapes", "patterns", "version"},
    "datasets": {"formats", "documents", "errors"},
    "text": {"documents", "errors", "patterns", "settings"},
    "vocabularies": {"formats", "documents", "errors"},
    "metrics": {
        "datasets",
        "formats",
        "documents",
        "errors",
    },  # scores of predictions; the records are those of datasets
    "linking": {"vocabularies", "documents", "errors", "patterns", "text"},
    "tasks": _BELOW_TASKS,
    "encoders": {"errors"},  # pure maths: no files of documents, no labels, no command line
    "inputs": {
        "datasets",
        "formats",
        "documents",
        "settings",
        "errors",
    },  # and no embedders, which are encoders
    "runtime": set(_BELOW_RUNTIME),
    "steps": {
        "linking",
        "vocabularies",
        "runtime",
        *_BELOW_RUNTIME,
    },  # no other part names a step: they come from the table
    "pipeline": {"steps", "runtime", *_BELOW_RUNTIME},
    "corpus": {"workers", "text", "formats", "documents", "errors"},
    # Of the parts below it those without PyTorch.
    "evaluation": {"steps", "linking", "vocabularies", "pipeline", "runtime", *_BELOW_RUNTIME},
    "explain": {"evaluation", *_BELOW_TRAINING},
    "training": {"evaluation", *_BELOW_TRAINING},
    "bulk": _BELOW_COMMANDS,
    "evidence": {"bulk", "evaluation", "vocabularies", "formats", "documents", "errors"},
    "serve": _BELOW_COMMANDS,
    "cli": {"agents", "citations", "serve", "bulk", "evidence", "__init__", *_BELOW_COMMANDS},
    "client": {"uploads", "formats", "documents", "errors"},
    "uploads": set(),
    "workers": {"errors"},
    "citations": {"formats", "errors", "version"},
    "spacy": {"pipeline", "formats", "documents"},
    "agents": {"bulk", "pipeline", "steps", "formats", "documents", "errors"},
    "__init__": {"pipeline", "runtime", "steps", "formats", "documents", "errors", "version"},
    "__main__": {"cli"},
    "bundled": set(),
}
WITHOUT_TORCH = {
    "__init__",
    "errors",
    "escapes",
    "patterns",
    "processors",
    "version",
    "workers",
    "settings",
    "documents",
    "formats",
    "text",
    "datasets",
    "vocabularies",
    "linking",
    "tasks",
    "metrics",
    "inputs",
    "runtime",
    "steps",
    "pipeline",
    "corpus",
    "evaluation",
    "explain",
    "serve",
    "bulk",
    "evidence",
    "client",
    "uploads",
    "citations",
    "spacy",
    "agents",
}
# Modules that look others up by name, which the rules here cannot see: each has an explicit table.
IMPORTS_BY_NAME = {
    "documents",
    "tasks/__init__",
    "__init__",
    "evaluation/evaluation",
    "formats/__init__",
    "runtime/step",
    "steps/__init__",
    "vocabularies/__init__",
    "encoders/__init__",
    "encoders/build",
    "encoders/graph",
    "cli/main",
}
# Modules outside `encoders` that name an architecture, and why they must.
NAMES_AN_ENCODER = {
    "training/translation/job": "trains the encoder-decoder, and is about nothing else",
    "training/translation/translator": "runs the encoder-decoder",
    "training/modality/job": "trains the encoder of sequences that are not texts",
    "training/modality/data": "packs what it reads",
    "training/pairs/job": "trains two towers, and is about nothing else",
    "training/text_to_text/model": "builds a T5, and is about nothing else",
    "training/maps/job": "trains a model of pixels, and is about nothing else",
    "runtime/predictor": "asks the graph of a sequence for the attention of its layers",
    "runtime/export": "builds its graph, which has other inputs than those of texts",
}


# Modules outside `tasks` that import a task, and why they must.
NAMES_A_TASK = {
    "runtime/bundle": "entities have a graph of their own; vectors have no head; what is not text has one task",
    "runtime/hugging_face": "token classifiers of transformers are entity models",
    "runtime/embedder": "gives the vectors of any encoder, whatever its bundle's task",
    "runtime/generation/model": "runs language models, whose prediction is a likelihood",
    "training/modality/job": "trains on what is not text",
    "training/pairs/job": "trains on pairs",
    "training/pretraining/job": "guesses hidden tokens",
    "training/pretraining/spans": "leaves spans out",
    "training/text_to_text/job": "trains a T5 on tasks as texts",
    "training/translation/job": "trains the encoder-decoder",
    "runtime/generation/targets": "writes the targets of tasks as texts",
    "runtime/generation/text_to_text": "runs what was trained on tasks as texts",
}


@dataclass(frozen=True)
class Import:
    place: str
    part: str
    module: str
    without_torch: bool

    @property
    def target(self) -> str:
        """The part of Textome that is imported."""
        _, *rest = self.module.split(".")
        return rest[0] if rest else "__init__"


def needs_torch(module: str) -> bool:
    """PyTorch itself, or what of the encoders is not their table, a folder's description, or the building of graphs."""
    package, *rest = module.split(".")
    return package == "torch" or (rest[:1] == ["encoders"] and len(rest) > 1 and not _in_any_process(rest[1:]))


def _in_any_process(names: list[str]) -> bool:
    """Whether the module of these names below `encoders` works without PyTorch."""
    return names[-1] in ("__init__", "distances", "early_exit", "graph", "onnx") or (
        len(names) == 1 and (SOURCE / "encoders" / names[0]).is_dir()
    )


def imports_of(source: str, name: str) -> list[Import]:
    """All imports of a module, wherever they stand: at the top, in a function, for type checking only."""
    part, *rest = name.split("/")
    without_torch = part in WITHOUT_TORCH or (part == "encoders" and _in_any_process(rest))
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}, line {node.lineno}: relative import; write the whole name"
            # `from textome import formats` names a part, `from textome import Document` the public interface.
            folder = SOURCE.parent.joinpath(*str(node.module).split("."))
            modules = [
                f"{node.module}.{alias.name}"
                if (folder / alias.name).is_dir() or (folder / f"{alias.name}.py").is_file()
                else str(node.module)
                for alias in node.names
            ]
        else:
            continue
        place = f"src/textome/{name}.py, line {node.lineno}"
        found += [Import(place, part, module, without_torch) for module in modules]
    return found


def violations(imports: list[Import]) -> list[str]:
    """The imports that the design forbids, each as one sentence."""
    wrong = []
    for item in imports:
        package = item.module.split(".")[0]
        if package == "textome" and item.target != item.part and item.target not in MAY_IMPORT[item.part]:
            wrong.append(f"{item.place}: {item.part} imports {item.module}, against the direction of the design")
        if item.without_torch and needs_torch(item.module):
            wrong.append(f"{item.place}: {item.part} imports {item.module}, but must work without PyTorch")
    return wrong


def sources() -> dict[str, str]:
    """The text of each module by its name, as `formats/conll`."""
    return {
        path.relative_to(SOURCE).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(SOURCE.rglob("*.py"))
    }


def test_every_part_has_a_rule():
    parts = {name.split("/")[0] for name in sources()}
    assert parts <= set(MAY_IMPORT), "a new part of the package: give it a row in MAY_IMPORT"


def test_the_rules_hold_no_circle():
    """Otherwise two parts could import each other and every rule would still hold."""
    rules = {part: set(allowed) for part, allowed in MAY_IMPORT.items()}
    while rules:
        free = {part for part, allowed in rules.items() if not allowed & set(rules)}
        assert free, f"each of these parts may import another of them: {sorted(rules)}"
        rules = {part: allowed for part, allowed in rules.items() if part not in free}


def test_imports_follow_the_design():
    found = [item for name, text in sources().items() for item in imports_of(text, name)]
    assert len(found) > 50
    assert violations(found) == []


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that all import each other, directly or through others of the group."""
    reached = {name: set(targets) for name, targets in imports.items()}
    for middle in imports:
        for name, targets in reached.items():
            if middle in targets:
                reached[name] = targets | reached[middle]
    inside = [name for name, targets in reached.items() if name in targets]
    groups = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in inside}
    return sorted(map(list, groups))


def test_no_modules_import_each_other():
    """Also not inside functions: such an import would only hide the circle."""
    texts = sources()
    names = {f"textome.{name.replace('/', '.')}".removesuffix(".__init__"): name for name in texts}
    imports = {
        name: {names[item.module] for item in imports_of(text, name) if item.module in names} - {name}
        for name, text in texts.items()
    }
    assert circles(imports) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


@pytest.mark.parametrize(
    ("name", "line", "wrong"),
    [
        ("formats/conll", "from textome.tasks.spans.iob import decode", True),
        ("formats/conll", "def read():\n    import textome.cli.main", True),
        ("formats/conll", "from textome import tasks", True),
        ("formats/conll", "from textome.formats.reading.sources import Source", False),
        ("encoders/bert/model", "from textome.formats import Source", True),
        ("encoders/bert/model", "import torch", False),
        ("encoders/bert/onnx", "import torch", True),
        ("encoders/bert/onnx", "from textome.encoders.graph import Builder", False),
        ("encoders/bert/onnx", "from textome.encoders.layers.packing import Layout", True),
        ("runtime/graph", "from textome.encoders.bert import onnx", False),
        ("runtime/graph", "from textome.encoders.bert import model", True),
        ("runtime/model", "def load():\n    from torch import nn", True),
        ("runtime/model", "if TYPE_CHECKING:\n    from textome.encoders.bert.model import Bert", True),
        ("runtime/model", "from textome.tasks.spans.iob import decode", False),
        ("training/finetune", "from textome.cli.streams import say", True),
        ("documents", "from textome import Pipeline", True),
        ("cli/main", "import textome", False),
    ],
)
def test_the_check_sees_what_is_forbidden(name, line, wrong):
    assert bool(violations(imports_of(line, name))) is wrong


def test_modules_are_looked_up_by_name_only_in_the_tables():
    """A lazy `__getattr__` or an `import_module` hides its target from the rules above."""
    for name, text in sources().items():
        tree = ast.parse(text)
        called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        called |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if called & {"import_module", "__import__"}:
            assert name in IMPORTS_BY_NAME, f"{name} imports modules by name"
        lazy = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"]
        assert not lazy or name == "__init__", f"{name} has a lazy __getattr__; only textome/__init__.py may"


def named_encoders(source: str) -> list[str]:
    """The architectures that a module imports, or names in a string that is not a docstring."""
    folders, named = {path.parent.name for path in (SOURCE / "encoders").glob("*/model.py")}, {*ENCODERS.values()}
    kinds = {*ENCODERS, *(encoder_of_folder(folder).transformers for folder in named)}
    tree = ast.parse(source)
    documented = (
        node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
    docstrings = {id(node.value) for node in documented}
    strings = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
    imports = [item.module.split(".") for item in imports_of(source, "training/any")]
    return sorted(
        {
            f"imports {names[2]}"
            for names in imports
            if names[:2] == ["textome", "encoders"] and folders & set(names[2:3])
        }
        | {text for text in strings if text in named | kinds or text.startswith(tuple(f"{kind}." for kind in named))}
    )


def test_nobody_but_the_encoders_names_an_architecture():
    """All other code asks the table, so that a new architecture is a folder and a line."""
    named = {name: found for name, text in sources().items() if (found := named_encoders(text))}
    wrong = {name: found for name, found in named.items() if not name.startswith("encoders/")}
    assert wrong.keys() == NAMES_AN_ENCODER.keys(), wrong


def test_nobody_but_tasks_names_a_task():
    """The table in `tasks/__init__.py` is the only list; the modules of NAMES_A_TASK say why they are not in it."""
    named = {f"textome.tasks.{module}" for module, _ in TASKS.values()}
    found = {
        name
        for name, text in sources().items()
        if not name.startswith("tasks/") and any(item.module in named for item in imports_of(text, name))
    }
    assert found == NAMES_A_TASK.keys(), found ^ NAMES_A_TASK.keys()


def chained_tasks(source: str) -> list[str]:
    """The functions of a module that ask for more than one class of task: a list of tasks beside the table."""
    names = {name for _, name in TASKS.values()}
    chained = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [item for item in ast.walk(node) if isinstance(item, ast.Call) and len(item.args) == 2]
            types = [item.args[1] for item in calls if isinstance(item.func, ast.Name) and item.func.id == "isinstance"]
            asked = {part.id for type in types for part in ast.walk(type) if isinstance(part, ast.Name)}
            chained += [node.name] * (len(asked & names) > 1)
    return chained


def test_nobody_but_tasks_chooses_by_the_class_of_a_task():
    found = {name: chained_tasks(text) for name, text in sources().items() if not name.startswith("tasks/")}
    assert {name: functions for name, functions in found.items() if functions} == {}
    chain = "def f(task):\n    if isinstance(task, Entities): pass\n    elif isinstance(task, Relations | str): pass"
    assert chained_tasks(chain) == ["f"]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("from textome.encoders.bert.model import Bert", True),
        ("from textome.encoders.deberta import onnx", True),
        ("prefix = 'bert.'", True),
        ("if config['model_type'] == 'deberta-v2': pass", True),
        ("from textome.encoders.heads import TaskModel", False),
        ("def f():\n    'bert.'", False),
    ],
)
def test_the_check_sees_a_named_architecture(line, wrong):
    assert bool(named_encoders(line)) is wrong


def test_every_module_in_the_tables_exists():
    import textome
    from textome.formats import FORMATS

    for folder in ENCODERS.values():
        assert all((SOURCE / "encoders" / folder / f"{name}.py").is_file() for name in ("model", "checkpoint", "onnx"))
        assert encoder_of_folder(folder).folder == folder
    for row in FORMATS.values():
        assert (SOURCE / "formats" / f"{row.module.replace('.', '/')}.py").is_file()
    for name in textome.__all__:
        assert getattr(textome, name) is not None


def test_no_file_is_two_ideas():
    long = {name: len(text.splitlines()) for name, text in sources().items() if text.count("\n") > MAX_LINES}
    assert long == {}, f"over {MAX_LINES} lines; probably two ideas"


def test_no_folder_is_two_rooms():
    """A folder with more modules than this has sub-folders, and few of its modules lie beside them."""
    counts = Counter(path.parent for path in SOURCE.rglob("*.py") if path.name != "__init__.py")
    assert {folder.name: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_the_check_of_loaded_modules_sees_a_heavy_one():
    assert _loaded("import torch, onnxruntime") == ["torch", "onnxruntime"]


@pytest.mark.parametrize(
    "program",
    [
        "import textome",
        "from textome import Document, read_documents, write_documents",
        "from textome.cli.main import application; application()(['--help'], standalone_mode=False)",
        "from textome.cli.main import application; application()(['annotate', '--help'], standalone_mode=False)",
    ],
)
def test_start_up_loads_nothing_heavy(program):
    assert _loaded(program) == []


def test_help_is_quick():
    """At most twice the processor time of a command line with two empty commands, the best of five of each, in turns.

    A time in seconds would fail where a processor's clock is low; other work on the machine must not fail this test either.
    """
    empty = (
        "import typer; app = typer.Typer()\n"
        "for name in ('annotate', 'b'): app.command(name)(lambda: None)\n"
        "app(['--help'])"
    )
    commands = [[sys.executable, "-m", "textome.cli.main", "--help"], [sys.executable, "-c", empty]]
    times = [[_cpu_seconds(command) for command in commands] for _ in range(6)][1:]  # the first fills the files' caches
    ours, least = (min(column) for column in zip(*times, strict=True))
    assert ours < HELP_TIMES * least


def test_a_cold_annotate_loads_only_what_it_needs(tmp_path):
    text = tmp_path / "a.txt"
    text.write_text("Metformin lowered HbA1c in patients with type 2 diabetes.")
    words = ["annotate", str(text), "--to", "jsonl", "--threads", "1"]
    program = f"from textome.cli.main import application; application(['annotate'])({words}, standalone_mode=False)"
    assert _loaded(program, NOT_FOR_A_START) == []


def _loaded(program: str, names: tuple[str, ...] = HEAVY) -> list[str]:
    """Which of some packages and modules, by default the heavy ones, a program loads."""
    ending = f"\nimport sys; print(*[name for name in {names} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program + ending], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1].split()


def _cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV_")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "annotate" in done.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
