"""Who may import whom inside curate, read from the source with `ast`. LAYERS is the documentation of it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# layer: modules, "|", imported at the top of a module, "|", imported in addition inside functions (lazily).
# A name allows everything below it; `...` allows anything. The standard library, and imports for type checkers only,
# are free. The first layer that holds a module counts.
LAYERS = """
errors:    errors                               | |
arrays:    arrays                               | numpy pyarrow |
kernels:   kernels.*                            | kernels numpy pyarrow numba llvmlite |
io:        io.*                                 | io errors msgspec numpy pyarrow | kernels fsspec zstandard datasets \
                                                  polars brotli resiliparse zlib_ng pathspec ray
sql:       sql                                  | errors pyarrow | polars
ranking:   ranking                              | arrays numpy pyarrow |
operator:  operator evaluate                    | arrays operator errors msgspec numpy pyarrow | evaluate cluster \
                                                  against ranking
family:    family                               | operator evaluate errors pyarrow |
cluster:   cluster against settle               | arrays settle errors numpy pyarrow | operator evaluate kernels
addresses: addresses                            | pyarrow | kernels
lsh:       lsh                                  | arrays operator evaluate numpy pyarrow | datasketch
extraction: extraction                          | | resiliparse trafilatura
assets:    assets                               | errors msgspec yaml |
models:    pieces language_model kenlm_files cut_offs | language_model errors msgspec numpy pyarrow | kernels \
                                                  sentencepiece
languages: languages                            | |
embedding: embedding                            | errors numpy pyarrow |
chat:      chat                                 | errors |
fast_text: fast_text sentence_models            | errors msgspec numpy | fasttext onnxruntime tokenizers \
                                                  sentence_transformers
operators: operators.*                          | arrays addresses assets chat extraction fast_text languages \
                                                  sentence_models pieces language_model cut_offs embedding family lsh \
                                                  operator evaluate sql errors kernels ranking msgspec numpy pyarrow \
                                                  | kenlm_files fasttext kenlm phonenumbers publicsuffixlist \
                                                  tokenizers zstandard
registry:  registry ops                         | registry operator evaluate errors | operators cloudpickle
yaml:      document convert config              | document convert errors msgspec yaml |
by_value:  by_value                             | cloudpickle msgspec |
store:     store shared                         | store shared errors msgspec | fsspec
recipe:    recipe recipe_file rules             | recipe recipe_file family registry operator evaluate document \
                                                  convert io errors msgspec yaml | rules
plan:      plan planner flow funnel             | plan planner recipe operator evaluate sql io errors msgspec pyarrow \
                                                  |
execute:   execute.*                            | arrays execute plan operator evaluate cluster settle against \
                                                  ranking sql io store shared config convert errors curate msgspec \
                                                  numpy pyarrow xxhash | kernels loky ray by_value
words:     contamination personal card          | report recipe store numpy polars pyarrow yaml |
report:    report.*                             | arrays report deciding operators recipe plan flow result store \
                                                  errors msgspec numpy polars pyarrow | execute operator overlap \
                                                  kernels jinja2 markupsafe
result:    result verdict explain progress      | operators operator evaluate recipe plan store sql errors pyarrow | \
                                                  verdict execute report polars pandas datasets rich ray
verify:    verify                               | execute store result errors pyarrow |
engine:    engine                               | execute plan planner recipe result store shared funnel progress \
                                                  config io operator evaluate errors curate msgspec | kernels \
                                                  operators contamination overlap personal report card
sizing:    sizing                               | operator plan msgspec pyarrow | convert
overlap:   overlap                              | execute operator evaluate recipe result store errors numpy polars | \
                                                  kernels
index:     index.*                              | index execute operator operators recipe result store convert errors \
                                                  against lsh msgspec numpy polars pyarrow | kernels
deciding:  deciding.*                           | arrays deciding execute plan planner recipe recipe_file funnel \
                                                  result report store config convert io operators operator evaluate \
                                                  sql errors curate msgspec numpy polars pyarrow | engine card
notebook:  corpus sampling starter              | recipe operator evaluate io config execute sampling errors msgspec \
                                                  numpy pyarrow yaml | engine explain flow store ray
generated: catalogue schema signals             | assets registry operator evaluate recipe config result io msgspec \
                                                  pyarrow |
release:   release.*                            | arrays release card signals operators operator evaluate recipe \
                                                  config convert io store result assets errors curate jinja2 \
                                                  markdown_it msgspec numpy polars pyarrow yaml | kernels engine \
                                                  fsspec huggingface_hub zstandard datasets
testing:   testing.*                            | testing operator evaluate cluster convert document errors msgspec \
                                                  numpy pyarrow | pytest by_value execute loky datasets
cli:       cli.* __main__                       | cli errors curate click | ...
top:       __init__                             | | ...
"""


class Layer:
    """One line of the table."""

    def __init__(self, line: str) -> None:
        self.name, rest = (part.strip() for part in line.split(":", 1))
        modules, top, lazy = (part.split() for part in rest.split("|"))
        self.modules, self.top, self.lazy = modules, top, [*top, *lazy]

    def holds(self, module: str) -> bool:
        return any(_below(module, name.removesuffix(".*")) for name in self.modules)

    def allows(self, imported: str, is_lazy: bool) -> bool:
        allowed = self.lazy if is_lazy else self.top
        return "..." in allowed or any(_below(imported, name) for name in allowed)


TABLE = [Layer(line) for line in LAYERS.replace("\\\n", "").strip().splitlines()]


def _below(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def modules(package: Path) -> dict[str, Path]:
    """Module names below the package, without its own name, and their files. Links are followed one level down."""
    files = [*package.glob("*.py"), *package.glob("*/*.py")]
    names = {path: ".".join(path.relative_to(package).with_suffix("").parts) for path in sorted(files)}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def imports(tree: ast.AST, known: set[str], is_lazy: bool = False) -> Iterator[tuple[str, bool, int]]:
    """Full names of imported modules, whether inside a function, and their lines."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, is_lazy, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                full = f"{module}.{alias.name}"
                yield full if full.removeprefix("curate.") in known else module, is_lazy, node.lineno
        else:
            yield from imports(node, known, is_lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def broken(package: Path) -> list[str]:
    """Every import that the table does not allow."""
    files, found = modules(package), []
    known = {*files, *(name.split(".")[0] for name in files)}
    for name, path in files.items():
        layer = next((layer for layer in TABLE if layer.holds(name)), None)
        if layer is None:
            found.append(f"{name}: belongs to no layer")
            continue
        for module, is_lazy, line in imports(ast.parse(path.read_text(encoding="utf-8")), known):
            is_free = module.split(".")[0] in sys.stdlib_module_names
            short = module.removeprefix("curate.")
            if not is_free and not layer.allows(short, is_lazy):
                how = "lazily" if is_lazy else "at the top"
                found.append(f"{name}:{line}: layer {layer.name} may not import {short} {how}")
    return found


def test_every_import_keeps_to_the_table() -> None:
    assert broken(ROOT / "curate") == []


def test_every_line_of_the_table_is_about_modules_that_exist() -> None:
    known = modules(ROOT / "curate")
    assert [layer.name for layer in TABLE if not any(layer.holds(name) for name in known)] == []


@pytest.mark.parametrize("folder", ["curate", "operators", "tests", "benchmarks", "docs", "tools"])
def test_nobody_imports_the_folder_of_operators_by_its_own_name(folder: str) -> None:
    """`operators.gopher` would be a second copy of `curate.operators.gopher`, with classes that differ."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        names = [_absolute(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
        assert not [name for each in names for name in each if _below(name, "operators")], path


def _absolute(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("kernels/new.py", "import polars", "kernels.new:1: layer kernels may not import polars at the top"),
        ("io/new.py", "from curate import recipe", "io.new:1: layer io may not import recipe at the top"),
        ("card.py", "from curate.operators.keep import Keep", "layer words may not import operators.keep at the top"),
        ("execute/new.py", "def f():\n    import curate.engine", "layer execute may not import engine lazily"),
        ("operators/new.py", "from ..engine import run", "layer operators may not import ..engine at the top"),
        ("novel.py", "", "novel: belongs to no layer"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, module: str, source: str, complaint: str) -> None:
    for name in (module, "recipe.py", "engine.py", "operators/keep.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / module).write_text(source, encoding="utf-8")
    assert any(complaint in found for found in broken(tmp_path)), broken(tmp_path)


def test_allowed_imports_are_not_complained_of(tmp_path: Path) -> None:
    (tmp_path / "cli.py").write_text("import click\ndef f():\n    import numba", encoding="utf-8")
    (tmp_path / "corpus.py").write_text("import os\ndef f():\n    from curate.engine import run", encoding="utf-8")
    assert broken(tmp_path) == []


def test_the_index_of_kernels_names_them_all() -> None:
    files = {path.stem for path in (ROOT / "curate/kernels").glob("*.py")} - {"__init__"}
    index = ast.get_docstring(ast.parse((ROOT / "curate/kernels/__init__.py").read_text("utf-8")))
    assert files - set(re.findall(r"\w+", str(index))) == set()
