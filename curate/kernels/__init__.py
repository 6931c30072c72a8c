"""Pure arrays in, arrays out: the compiled inner loops over Arrow buffers. Importing this imports nothing heavy.

jit         compiles kernels and caches them            bits      bit operations and vector comparisons
unicode     tables of Unicode 15.0                      text      documents as bytes: code points, words, lines
lexer       words, lines, sentences, hashes; shared     folding   lower case and NFD over bytes
gopher      signals of the Gopher paper                 hashing   XXH3-128 of documents
redpajama   signals of RedPajama-V2                     wordpunct tokens by word characters and punctuation
ngrams      repeated n-grams                            phrases   lists of words by language
rounding    as Python rounds
minhash     signatures and band keys                    components  union-find and candidate pairs
langid      language of a document
"""

from __future__ import annotations


def warm() -> None:
    """Compile every kernel, or load it from the cache, by using it once. Call it before workers start."""
    import numpy as np
    import pyarrow as pa

    from curate.kernels import components, gopher, hashing, lexer, minhash, phrases, redpajama, rounding, wordpunct

    text = pa.array(["One two three, four Füße and the rest."])
    lexed = lexer.lex_buffers(*lexer.buffers(text))
    lexer.count_words(text)
    gopher.gopher(lexed)
    lists, rows = phrases.phrases({"en": ["one", "two three"]}), np.zeros(1, np.int64)
    redpajama.count_document(lexed, redpajama.BadWords(lists, rows), with_grams=True)
    redpajama.count_lines(lexed)
    rounding.rounded(np.zeros(1), 8)
    wordpunct.count_tokens(lexed, rows, lists)
    values, _ = minhash.signatures(lexed)
    minhash.shingles(lexed)
    minhash.estimate(values, values)
    keys = minhash.band_keys(values, 9, 13)
    hashing.xxh3_128(text)
    hashing.normalised_hash(text)
    a, b = components.bucket_pairs(keys[:2, 0], np.zeros(2, np.int64), cap=2)
    components.components(1, a, b)


def is_cold() -> bool:
    """Whether kernels have yet to be compiled on this machine."""
    from curate.kernels.jit import cache_folder

    folder = cache_folder()
    return folder is None or next(folder.rglob("*.nbi"), None) is None
