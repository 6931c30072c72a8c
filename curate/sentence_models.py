"""Sentence models in a folder: those of sentence-transformers (Reimers and Gurevych 2019), and ONNX files."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from curate.errors import PlanError

ROWS, STEP = 16, 32  # an ONNX model is always given so many texts, of a multiple of so many tokens: the shape of a
# matrix decides in which order its products are added up, and results shall not depend on batches
LONGEST = 512  # tokens, where a model does not say
HEAD = 64  # characters of a long text that are looked at for each token that a model takes
LARGEST = 64 << 30  # bytes of all files of a model
PACKAGES = {"onnx": ("onnxruntime", "tokenizers"), "torch": ("sentence_transformers",)}


def root(files: tuple[str, ...]) -> Path:
    """The folder of a model, from its files."""
    heads = [Path(file).parent for file in files if Path(file).name in ("modules.json", "tokenizer.json")]
    if not heads:
        raise PlanError(f"{Path(files[0]).parent} is no sentence model: it has no modules.json and no tokenizer.json")
    return min(heads, key=lambda path: len(path.parts))


def network(folder: Path) -> Path | None:
    """The ONNX file of a model, if it has one."""
    return next((folder / name for name in ("model.onnx", "onnx/model.onnx") if (folder / name).is_file()), None)


def check(files: tuple[str, ...]) -> None:
    """PlanError when the folder is no model or too large, when it is a pickle, or what runs it is not installed."""
    folder = root(files)
    size = sum(Path(file).stat().st_size for file in files)
    if size > LARGEST:
        raise PlanError(f"{folder} has {size / 1e9:,.1f} GB: sentence models of over {LARGEST >> 30} GiB are not read")
    kind = "onnx" if network(folder) else "torch"
    pickles = [file for file in files if Path(file).suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt")]
    if kind == "torch" and not [file for file in files if file.endswith(".safetensors")]:
        other = f"; {Path(pickles[0]).name} is a pickle, which is not read" if pickles else ""
        raise PlanError(f"{folder} has neither model.onnx nor a .safetensors file{other}")
    missing = [name for name in PACKAGES[kind] if importlib.util.find_spec(name) is None]
    if missing:
        extra = "embed" if kind == "onnx" else "sentence-transformers"
        raise PlanError(f'{folder} needs {" and ".join(missing)}: pip install "curate[{extra}]"')
    dim(files)
    if kind == "onnx":
        load(files)


def dim(files: tuple[str, ...]) -> int:
    """The length of the vectors, from the configuration of the model."""
    for path in (root(files) / "1_Pooling/config.json", root(files) / "config.json"):
        if path.is_file():
            found = _json(path)
            for name in ("word_embedding_dimension", "embedding_dimension", "hidden_size", "dim"):
                if isinstance(found.get(name), int):
                    return int(found[name])
    raise PlanError(f"{root(files)} does not say how long its vectors are (hidden_size in config.json)")


def _json(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise PlanError(f"{path} is no JSON object: {error}") from error


@functools.lru_cache(maxsize=2)
def load(files: tuple[str, ...]) -> Onnx | Torch:
    """The model, loaded once per process."""
    folder = root(files)
    path = network(folder)
    return Onnx(path, folder) if path else Torch(folder)


class Torch:
    """A model that sentence-transformers runs: on a CPU text by text, because a batch pads its texts to one length, and
    that decides the last bits; on a GPU, where batches are much faster, these may differ."""

    def __init__(self, folder: Path):
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(folder), local_files_only=True, trust_remote_code=False)

    def vectors(self, texts: list[str], batch: int) -> np.ndarray:
        size = 1 if self.model.device.type == "cpu" else batch
        found: np.ndarray = self.model.encode(texts, batch_size=size, show_progress_bar=False, convert_to_numpy=True)
        return np.ascontiguousarray(found, np.float32)


class Onnx:
    """A transformer that ONNX Runtime runs, on a GPU where it finds one; its last states are averaged over tokens."""

    def __init__(self, path: Path, folder: Path):
        import onnxruntime
        from tokenizers import Tokenizer

        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        there = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=there)
        except Exception as error:  # its own exceptions have no common class
            raise PlanError(f"{path} is no ONNX model that can be run ({error})") from error
        self.names = [own.name for own in self.session.get_inputs()]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        stated = folder / "sentence_bert_config.json"
        self.longest = int(_json(stated).get("max_seq_length") or LONGEST) if stated.is_file() else LONGEST
        self.tokenizer.enable_truncation(self.longest)

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """The first tokens of each text. Of a long one no more is read than that takes."""
        heads = [head(text, HEAD * self.longest) for text in texts]
        found = [own.ids for own in self.tokenizer.encode_batch(heads)]
        for at, text in enumerate(texts):
            if len(found[at]) < self.longest and len(heads[at]) < len(text):
                found[at] = self.tokenizer.encode(text).ids
        return found

    def vectors(self, texts: list[str], batch: int) -> np.ndarray:
        tokens = self.tokens(texts)
        length = np.array([-(-max(len(own), 1) // STEP) * STEP for own in tokens])
        made: np.ndarray | None = None
        for size in np.unique(length):
            own = np.flatnonzero(length == size)
            for low in range(0, len(own), ROWS):
                rows = own[low : low + ROWS]
                found = self._run([tokens[row] for row in rows], int(size))
                made = np.zeros((len(texts), found.shape[1]), np.float32) if made is None else made
                made[rows] = found[: len(rows)]
        return made if made is not None else self._run([[0]], STEP)[:0]

    def _run(self, tokens: list[list[int]], size: int) -> np.ndarray:
        ids, mask = np.zeros((ROWS, size), np.int64), np.zeros((ROWS, size), np.int64)
        for row, own in enumerate(tokens):
            ids[row, : len(own)], mask[row, : len(own)] = own, 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states = self.session.run(None, {name: given[name] for name in self.names})[0]
        if states.ndim == 2:  # the model averages by itself
            return np.ascontiguousarray(states, np.float32)
        weights = mask[:, :, None].astype(np.float32)
        mean: np.ndarray = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
        return np.ascontiguousarray(mean, np.float32)


def head(text: str, size: int) -> str:
    """The words within the first characters of a text; all of it if it is short or one word.

    >>> head("one two three", 9), head("onetwothree", 5)
    ('one two', 'onetwothree')
    """
    end = text.rfind(" ", 0, size) if len(text) > size else 0
    return text[:end] if end > 0 else text
