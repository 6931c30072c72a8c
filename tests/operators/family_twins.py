"""Plain-Python twins of the families: the published rules in a few lines each, one document at a time."""

from __future__ import annotations

import math
import re
import statistics
import unicodedata
from collections import Counter

from curate.kernels import traits

STOPS = ("the", "be", "to", "of", "and", "that", "have", "with")
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
LINK = re.compile(r"""(?i:(?:https?|ftp)://|(?<![\w\-./@])www\.)[^\s<>"`{}|\\^\x00-\x20\x7f-\U0010ffff]*""")
NOUNS = "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers"
COUNTER = re.compile(rf"^\W*\d(?:,|\.|\d)*[kmb]?\s+(?:{NOUNS})\W*\Z")


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def lower(text: str) -> str:
    """ASCII in lower case."""
    return "".join(char.lower() if char < "\x80" else char for char in text)


def has(char: str, trait: int) -> bool:
    known = traits.traits()
    return bool(int(known.kinds[int(known.page[ord(char) >> 8]) << 8 | ord(char) & 255]) & trait)


# ---------------------------------------------------------------- words


def words(text: str, rule: str) -> list[str]:
    if rule == "whitespace":
        return text.split()
    if rule == "wordpunct":
        return re.findall(r"\w+|[^\w\s]+", text)
    found: list[str] = []
    role = "none"
    for char in text:
        own = "none" if char.isspace() else "alone"
        if unicodedata.category(char).startswith("M"):
            own = "joins"
        elif rule == "unicode" and own == "alone":
            own = "none" if not char.isalnum() else "alone" if has(char, traits.SINGLE) else "run"
        if (own == "joins" and role != "none") or own == role == "run":
            found[-1] += char
        elif own != "none":
            found.append(char)
        if not (own == "joins" and role != "none"):
            role = "run" if own == "joins" else own
    return found


# ---------------------------------------------------------------- n-grams


def grams(items: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(items[i : i + n]) for i in range(len(items) - n + 1)]


def size(gram: tuple[str, ...]) -> int:
    return sum(map(len, gram))


def gram_shares(items: list[str], convention: str, text: str) -> dict[str, float]:
    letters, found = sum(map(len, items)), {}
    for n in range(2, 11):
        every = grams(items, n)
        counts = Counter(every)
        name = f"{'top' if n < 5 else 'duplicate'}_{n}gram_char_ratio"
        found[name] = 0.0
        if not every:
            continue
        top, times = counts.most_common(1)[0]
        if n < 5:
            if convention == "fineweb":
                found[name] = share(len(" ".join(top)) * times, len(text))
            elif convention == "dolma":
                found[name] = share(size(top) * times, letters)
            elif times > 1:
                found[name] = share(max(size(g) for g, c in counts.items() if c == times) * times, letters)
        elif convention == "fineweb":
            met, repeated, i = set(), 0, 0
            while i < len(every):
                if every[i] in met:
                    repeated, i = repeated + size(every[i]), i + n
                else:
                    met.add(every[i])
                    i += 1
            found[name] = share(repeated, len(text))
        elif convention == "dolma":
            found[name] = share(sum(size(g) for g in every if counts[g] > 1), sum(map(size, every)))
        else:
            inside = {i + k for i, g in enumerate(every) if counts[g] > 1 for k in range(n)}
            found[name] = share(sum(len(items[i]) for i in inside), letters)
    return found


def seen_before(pieces: list[str]) -> tuple[int, int]:
    met: set[str] = set()
    again = [piece for piece in pieces if piece in met or met.add(piece)]  # type: ignore[func-returns-value]
    return len(again), sum(map(len, again))


def repeating(pieces: list[str]) -> tuple[int, int]:
    counts = Counter(pieces)
    return sum(c for c in counts.values() if c > 1), sum(c * len(p) for p, c in counts.items() if c > 1)


# ---------------------------------------------------------------- C4


def c4_rules(line: str, marks: str = '.?!"') -> list[str]:
    """The rules that a stripped line breaks, in order."""
    tokens, cut = line.split(), CITATION.sub("", line)
    tests = {
        "long_word": any(len(token) > 1000 for token in tokens),
        "no_terminal_mark": not cut.endswith(tuple(marks)) or cut.endswith("..."),
        "short": len(tokens) < 3,
        "javascript": "javascript" in lower(cut),
        "policy": any(policy in lower(cut) for policy in POLICIES),
    }
    return [rule for rule, broken in tests.items() if broken]


def c4(text: str) -> dict[str, float]:
    lines = [line.strip() for line in text.splitlines()]
    broken = [c4_rules(line) for line in lines]
    found = {
        "line_count": len(lines),
        "lorem_ipsum_count": lower(text).count("lorem ipsum"),
        "curly_bracket_count": text.count("{"),
        "long_paragraph_count": sum(len(line) >= 200 for line in text.split("\n")),
        "kept_line_ratio": share(sum(not rules for rules in broken), len(lines)),
        "kept_char_ratio": share(
            sum(len(line) for line, rules in zip(lines, broken, strict=True) if not rules), sum(map(len, lines))
        ),
    }
    for rule in ("long_word", "no_terminal_mark", "short", "javascript", "policy"):
        found[f"{rule}_line_ratio"] = share(sum(rule in rules for rules in broken), len(lines))
    return {f"c4_{name}": value for name, value in found.items()}


def c4_lines(text: str) -> tuple[str, Counter[str]]:
    lines = [line.strip() for line in text.splitlines()]
    reasons = [next(iter(c4_rules(line)), "") for line in lines]
    kept = [CITATION.sub("", line) for line, reason in zip(lines, reasons, strict=True) if not reason]
    return "\n".join(kept).strip(), Counter(reasons)


# ---------------------------------------------------------------- FineWeb


def fineweb(text: str) -> dict[str, float]:
    lines = [line for line in text.split("\n") if line.strip()]
    return {
        "fineweb_line_punctuation_ratio": share(sum(has(line[-1], traits.TERMINAL) for line in lines), len(lines)),
        "fineweb_short_line_ratio": share(sum(len(line) <= 30 for line in lines), len(lines)),
        "fineweb_char_duplicate_ratio": share(seen_before(lines)[1], len(text.replace("\n", ""))),
        "fineweb_newline_word_ratio": share(text.count("\n"), len(words(text, "wordpunct"))),
    }


def fineweb2(text: str, rule: str = "wordpunct") -> dict[str, float]:
    tokens, lines = words(text, rule), text.splitlines()
    pieces, paragraphs = re.split(r"\n+", text), re.split(r"\n{2,}", text.strip())
    if not text.strip():
        paragraphs = []
    full = [token for token in tokens if not all(has(char, traits.SYMBOL) for char in token)]
    found = {
        "word_count": len(full),
        "stop_word_count": len(set(STOPS) & set(tokens)),
        "mean_word_length": share(sum(map(len, full)), len(full)),
        "alpha_word_ratio": share(sum(any(map(str.isalpha, token)) for token in tokens), len(tokens)),
        "hash_word_ratio": share(text.count("#"), len(tokens)),
        "ellipsis_word_ratio": share(text.count("...") + text.count("…"), len(tokens)),
        "bullet_line_ratio": share(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_line_ratio": share(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "duplicate_line_ratio": share(seen_before(pieces)[0], len(pieces)),
        "duplicate_line_char_ratio": share(seen_before(pieces)[1], len(text)),
        "duplicate_paragraph_ratio": share(seen_before(paragraphs)[0], len(paragraphs)),
        "duplicate_paragraph_char_ratio": share(seen_before(paragraphs)[1], len(text)),
        **gram_shares(tokens, "fineweb", text),
    }
    return {f"fineweb2_{name}": value for name, value in found.items()}


# ---------------------------------------------------------------- Dolma


def dolma(text: str) -> dict[str, float]:
    tokens, lines = text.split(), text.split("\n")
    letters = sum(map(len, tokens))
    found = {
        "character_count": len(text),
        "word_count": len(tokens),
        "line_count": len(lines),
        "required_word_count": sum(token in STOPS for token in tokens),
        "javascript_count": lower(text).count("javascript"),
        "lorem_ipsum_count": lower(text).count("lorem ipsum"),
        "curly_bracket_count": text.count("{"),
        "median_word_length": statistics.median(map(len, tokens)) if tokens else 0.0,
        "symbol_word_ratio": share(sum("#" in token or "…" in token for token in tokens), len(tokens)),
        "alpha_word_ratio": share(sum(any(map(str.isalpha, token)) for token in tokens), len(tokens)),
        "bullet_line_ratio": sum(line.startswith(("*", "-")) for line in lines) / len(lines),
        "ellipsis_line_ratio": sum(line.endswith("…") for line in lines) / len(lines),
        "no_terminal_mark_line_ratio": sum(not line.strip().endswith((*'.?!"',)) for line in lines) / len(lines),
        "short_line_ratio": sum(len(line.split()) < 3 for line in lines) / len(lines),
        "duplicate_line_ratio": repeating(lines)[0] / len(lines),
        "duplicate_line_char_ratio": share(repeating(lines)[1], letters),
        **gram_shares(tokens, "dolma", text),
    }
    return {f"dolma_{name}": value for name, value in found.items()}


# ---------------------------------------------------------------- RefinedWeb


def web_rules(line: str) -> list[str]:
    """The rules that a line with at least one character breaks, in order."""
    tests = {
        "uppercase": sum(map(str.isupper, line)) / len(line) > 0.5,
        "numeric": all(map(str.isdigit, line)),
        "counter": bool(COUNTER.search(lower(line))),
        "one_word": len(line.split()) < 2,
        "boilerplate": len(line.split()) <= 10 and cut(line) != line,
    }
    return [rule for rule, broken in tests.items() if broken]


def cut(line: str) -> str:
    """A line without boilerplate."""
    line = re.sub(r"\s?items in cart", "", line, flags=re.IGNORECASE)
    line = re.sub(r"\s?read more...\Z", "", line, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"^sign-in\s?", "", line, flags=re.IGNORECASE)


def refinedweb(text: str) -> dict[str, float]:
    tokens, lines = text.split(), [line for line in text.split("\n") if line]
    stripped = [line.strip() for line in text.split("\n") if line.strip()]
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
    broken = [web_rules(line) for line in lines]
    gone = [line for line, rules in zip(lines, broken, strict=True) if set(rules) - {"boilerplate"}]
    symbols = sum(text.count(symbol) for symbol in ("#", "...", ". . .", "…"))
    found = {
        "word_count": len(tokens),
        "stop_word_count": sum(token.lower() in STOPS for token in tokens),
        "mean_word_length": share(sum(map(len, tokens)), len(tokens)),
        "symbol_word_ratio": share(symbols, len(tokens)),
        "alpha_word_ratio": share(sum(any(map(str.isalpha, token)) for token in tokens), len(tokens)),
        "bullet_line_ratio": share(sum(line.startswith((*"●•*-",)) for line in stripped), len(stripped)),
        "ellipsis_line_ratio": share(sum(line.endswith(("...", ". . .", "…")) for line in stripped), len(stripped)),
        "removed_word_ratio": share(sum(len(line.split()) for line in gone), len(tokens)),
        "kept_line_ratio": share(len(lines) - len(gone), len(lines)),
        "duplicate_line_ratio": share(repeating(stripped)[0], len(stripped)),
        "duplicate_line_char_ratio": share(repeating(stripped)[1], sum(map(len, stripped))),
        "duplicate_paragraph_ratio": share(repeating(paragraphs)[0], len(paragraphs)),
        "duplicate_paragraph_char_ratio": share(repeating(paragraphs)[1], sum(map(len, paragraphs))),
        **gram_shares(words(text, "unicode"), "dclm", text),
    }
    for rule in ("uppercase", "numeric", "counter", "one_word", "boilerplate"):
        found[f"{rule}_line_ratio"] = share(sum(rule in rules for rules in broken), len(lines))
    return {f"refinedweb_{name}": value for name, value in found.items()}


def refinedweb_lines(text: str) -> str:
    kept = []
    for line in text.split("\n"):
        rules = web_rules(line) if line else []
        if rules and set(rules) != {"boilerplate"}:
            continue
        if rules and not cut(line).strip():
            continue
        kept.append(cut(line) if rules else line)
    return "\n".join(kept).strip()


# ---------------------------------------------------------------- Data-Juicer


def refined(text: str) -> list[str]:
    found = []
    for token in re.split(r"[ \n\t]", text):
        while token and has(token[0], traits.SPECIAL):
            token = token[1:]
        while token and has(token[-1], traits.SPECIAL):
            token = token[:-1]
        if token:
            found.append(unicodedata.normalize("NFD", token.lower()))
    return found


def datajuicer(text: str, n: int = 10) -> dict[str, float]:
    tokens, lines = refined(text), text.splitlines()
    counts = sorted(Counter(text[i : i + n] for i in range(len(text) - n + 1)).values(), reverse=True)
    frequent = min(int(math.sqrt(len(counts))), sum(count > 1 for count in counts))
    repeats = Counter(grams(tokens, n))
    found = {
        "text_length": len(text),
        "word_count": len(tokens),
        "max_line_length": max(map(len, lines), default=0),
        "mean_line_length": share(len(text), len(lines)),
        "alnum_ratio": share(sum(map(str.isalnum, text)), len(text)),
        "special_char_ratio": share(sum(has(char, traits.SPECIAL) for char in text), len(text)),
        "char_repetition_ratio": share(sum(counts[:frequent]), sum(counts)),
        "word_repetition_ratio": share(sum(c for c in repeats.values() if c > 1), sum(repeats.values())),
    }
    return {f"datajuicer_{name}": value for name, value in found.items()}


# ---------------------------------------------------------------- text and code


def text_statistics(text: str) -> dict[str, float]:
    tokens, body = words(text, "unicode"), text.encode()
    lines = [line.removesuffix("\n") for line in re.findall(r"[^\n]*\n|[^\n]+$", text)]
    n, links = len(text), LINK.findall(text)
    per_byte, per_word = Counter(body), Counter(tokens)
    found = {
        "byte_count": len(body),
        "character_count": n,
        "word_count": len(tokens),
        "line_count": len(lines),
        "link_count": len(links),
        "longest_word": max(map(len, tokens), default=0),
        "longest_line": max((len(line.strip()) for line in lines), default=0),
        "letter_ratio": share(sum(map(str.isalpha, text)), n),
        "digit_ratio": share(sum(map(str.isdigit, text)), n),
        "uppercase_ratio": share(sum(map(str.isupper, text)), n),
        "whitespace_ratio": share(sum(map(str.isspace, text)), n),
        "punctuation_ratio": share(sum(unicodedata.category(char).startswith("P") for char in text), n),
        "parenthesis_ratio": share(sum(char in "()[]{}⟨⟩" for char in text), n),
        "curly_bracket_ratio": share(sum(char in "{}" for char in text), n),
        "non_ascii_ratio": share(sum(char >= "\x80" for char in text), n),
        "non_alnum_ratio": share(sum(not char.isalnum() for char in text), n),
        "link_char_ratio": share(sum(map(len, links)), n),
        "mean_line_length": share(sum(len(line.strip()) for line in lines), len(lines)),
        "mean_word_length": share(sum(map(len, tokens)), len(tokens)),
        "unique_word_ratio": share(len(per_word), len(tokens)),
        "word_entropy": -sum(c / len(tokens) * math.log(c / len(tokens)) for c in per_word.values()),
        "byte_entropy": -sum(c / len(body) * math.log2(c / len(body)) for c in per_byte.values()),
    }
    return {f"text_{name}": value for name, value in found.items()}


ENCODED = re.compile(
    r"[a-zA-Z0-9+/\n=]{64,}|(?:\\u[0-9a-fA-F]{4}){8,}|(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}", re.ASCII
)
MARKERS = (
    "auto-generated",
    "autogenerated",
    "automatically generated",
    "generated automatically",
    "this file is generated",
)


def code(text: str) -> dict[str, float]:
    lines, runs = text.splitlines(), [len(match[0]) for match in ENCODED.finditer(text)]
    found = {
        "line_count": len(lines),
        "mean_line_length": share(sum(map(len, lines)), len(lines)),
        "max_line_length": max(map(len, lines), default=0),
        "alnum_ratio": share(sum(map(str.isalnum, text)), len(text)),
        "alpha_ratio": share(sum(map(str.isalpha, text)), len(text)),
        "encoded_ratio": share(sum(runs), len(text)),
        "longest_encoded": max(runs, default=0),
        "is_autogenerated": any(marker in lower(line) for line in lines[:5] for marker in MARKERS),
        "has_xml_header": "<?xml version=" in lower(text[:100]),
    }
    return {f"code_{name}": value for name, value in found.items()}


# ---------------------------------------------------------------- cc_net


def ccnet(text: str) -> str:
    deleted = "，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
    met: set[str] = set()
    kept = []
    for line in text.split("\n"):
        form = unicodedata.normalize("NFD", line.strip().lower())
        form = "".join("0" if char.isdecimal() else char for char in form)
        form = "".join(char for char in form if char not in deleted and unicodedata.category(char) != "Cc")
        if line.strip() and form not in met:
            met.add(form)
            kept.append(line)
    return "\n".join(kept).strip()
