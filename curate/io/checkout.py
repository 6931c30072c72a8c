"""Which files of a source tree are documents: those of a known language no .gitignore names. And their licences."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from curate.errors import DataError
from curate.io.listing import Found
from curate.io.stream import is_local, name_of, stamp_of

# Names as GitHub's Linguist has them: the language, then the extensions that tell it.
EXTENSIONS = """
Ada: adb ads | Agda: agda | Assembly: asm s | Astro: astro | AWK: awk | Batchfile: bat cmd | C: c h | C#: cs csx
C++: cc cpp cxx c++ hh hpp hxx h++ inl ipp tpp | Clojure: clj cljc cljs edn | CMake: cmake | COBOL: cbl cob
CoffeeScript: coffee | Common Lisp: lisp lsp | Crystal: cr | CSS: css | Cuda: cu cuh | Cython: pyx pxd pxi | D: d
Dart: dart | Dockerfile: dockerfile | Elixir: ex exs | Elm: elm | Emacs Lisp: el | Erlang: erl hrl | F#: fs fsi fsx
Fortran: f f77 f90 f95 f03 f08 for | GLSL: glsl vert frag | Go: go | GraphQL: graphql gql | Groovy: groovy gradle
Haskell: hs lhs | HCL: hcl tf | HTML: html htm xhtml | Idris: idr | INI: ini cfg | Java: java | JavaScript: js mjs cjs
JSON: json jsonc json5 | JSX: jsx | Julia: jl | Kotlin: kt kts | Lean: lean | Less: less | Lua: lua | Makefile: mk mak
Markdown: md markdown mdx | MATLAB: m | Nim: nim | Nix: nix | Objective-C++: mm | OCaml: ml mli | Pascal: pas pp
Perl: pl pm | PHP: php phtml | PowerShell: ps1 psm1 psd1 | Prolog: pro | Protocol Buffer: proto | PureScript: purs
Python: py pyi pyw | R: r | Racket: rkt | Raku: raku rakumod | reStructuredText: rst | Ruby: rb rake gemspec | Rust: rs
Sass: sass | Scala: scala sc sbt | Scheme: scm ss | SCSS: scss | Shell: sh bash zsh ksh fish | Solidity: sol | SQL: sql
Standard ML: sml | Starlark: bzl bazel star | Stylus: styl | Svelte: svelte | Swift: swift | SystemVerilog: sv svh
Tcl: tcl | TeX: tex sty cls bib | Text: txt text | Thrift: thrift | TOML: toml | TSX: tsx | TypeScript: ts mts cts
Verilog: v vh | VHDL: vhd vhdl | Vim Script: vim | Visual Basic .NET: vb | Vue: vue | WebAssembly: wat wast
XML: xml xsd xsl xslt svg | YAML: yaml yml | Zig: zig
"""
NAMES = {"makefile": "Makefile", "gnumakefile": "Makefile", "dockerfile": "Dockerfile", "containerfile": "Dockerfile"}
NAMES |= {"rakefile": "Ruby", "gemfile": "Ruby", "podfile": "Ruby", "vagrantfile": "Ruby", "jenkinsfile": "Groovy"}
NAMES |= {
    "cmakelists.txt": "CMake",
    "build": "Starlark",
    "workspace": "Starlark",
    "go.mod": "Go Module",
    "justfile": "Just",
}
LANGUAGES = {
    extension: name.strip()
    for name, _, extensions in (entry.partition(":") for line in EXTENSIONS.split("\n") for entry in line.split("|"))
    for extension in extensions.split()
}
LICENCE = re.compile(r"(.*[-_.])?(un)?licen[cs]es?([-_.].*)?|copying([-_.].*)?", re.IGNORECASE)
PROSE = (None, "HTML", "Markdown", "reStructuredText", "Text")


def language_of(name: str) -> str | None:
    """The language that a file's name tells, None when it tells none.

    >>> [language_of(name) for name in ("src/a.PY", "Makefile", "src/CMakeLists.txt", "logo.png", "LICENSE")]
    ['Python', 'Makefile', 'CMake', None, None]
    """
    last = name.rpartition("/")[2].lower()
    return NAMES.get(last) or LANGUAGES.get(last.rpartition(".")[2] if "." in last else "")


def is_licence(name: str) -> bool:
    """Whether a file's name says that it holds a licence.

    >>> [is_licence(name) for name in ("LICENSE", "UNLICENSE", "MIT-LICENSE.txt", "COPYING.LESSER", "license.py")]
    [True, True, True, True, False]
    """
    return LICENCE.fullmatch(name) is not None and language_of(name) in PROSE


def documents(files: list[Found], is_chosen: bool) -> list[Found]:
    """The files that are documents; `is_chosen`: those without a known language too, as the recipe says which."""
    remote = next((file for file in files if not is_local(file.path)), None)
    if remote:
        raise DataError(f"{remote.path}: source code is read from a local folder; clone or copy it")
    ignored: dict[str, Ignored] = {}
    return [
        file
        for file in files
        if (is_chosen or language_of(file.name))
        and not ignored.setdefault(file.root, Ignored(file.root)).holds(file.path)
    ]


def with_licences(files: Iterable[Found]) -> list[Found | None]:
    """The files, None, and the licence files that may be about them: those in the nearest folder that has any."""
    files = list(files)
    known: dict[str, list[str]] = {}
    nearest = {name for file in files for name in _licences(os.path.dirname(file.path), file.root.rstrip("/"), known)}
    return [*files, None, *(_found(path, files[0]) for path in sorted(nearest))]


def _licences(folder: str, root: str, known: dict[str, list[str]]) -> list[str]:
    if folder not in known:
        found = [entry.path for entry in os.scandir(folder) if is_licence(entry.name) and entry.is_file()]
        is_top = len(folder) <= len(root)
        known[folder] = found or ([] if is_top else _licences(os.path.dirname(folder), root, known))
    return known[folder]


def _found(path: str, beside: Found) -> Found:
    return Found(path, name_of(path, beside.root), beside.root, 0, stamp_of(os.stat(path)))


class Ignored:
    """What the .gitignore files below a folder name, as git has it: the deepest file that says anything counts, nothing
    comes back that is in an ignored folder, and a checkout inside another does not know the other's files."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._folders = {self.root: False}
        self._specs: dict[str, tuple[Any, bool]] = {}

    def holds(self, path: str) -> bool:
        folder = os.path.dirname(path)
        return self._is_ignored(folder) or self._is_named(path, folder)

    def _is_ignored(self, folder: str) -> bool:
        if folder not in self._folders:
            above = os.path.dirname(folder)
            self._folders[folder] = self._is_ignored(above) or self._is_named(f"{folder}/", above)
        return self._folders[folder]

    def _is_named(self, path: str, folder: str) -> bool:
        while True:
            spec, is_top = self._spec(folder)
            verdict = spec.check_file(path[len(folder) :].lstrip("/")).include if spec else None
            if verdict is not None or is_top:
                return bool(verdict)
            folder = os.path.dirname(folder)

    def _spec(self, folder: str) -> tuple[Any, bool]:
        """The patterns of the folder's own .gitignore, and whether none above it count."""
        if folder not in self._specs:
            is_top = folder == self.root or os.path.exists(f"{folder}/.git")
            self._specs[folder] = _patterns(Path(folder, ".gitignore")), is_top
        return self._specs[folder]


def _patterns(path: Path) -> Any:
    from pathspec import GitIgnoreSpec

    if not path.is_file():
        return None
    try:
        return GitIgnoreSpec.from_lines(path.read_text(encoding="utf-8", errors="surrogateescape").splitlines())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a .gitignore ({error}); mend it or take it out") from error
