"""The operators that curate brings, one short file per family; found by walking this folder."""

if __name__ == "operators":
    raise ImportError("import curate.operators, not operators: two copies of every class would not know each other")
