"""Pure arrays in, arrays out: the compiled inner loops over Arrow buffers. Importing this imports nothing heavy.

jit         compiles kernels and caches them            bits      bit operations and vector comparisons
kept        arrays that later processes map
unicode     tables of Unicode 15.0                      text      documents as bytes: code points, words, lines
lexer       words, lines, sentences, hashes; shared     folding   lower case and NFD over bytes
gopher      signals of the Gopher paper                 hashing   XXH3-128 of documents
redpajama   signals of RedPajama-V2                     wordpunct tokens by word characters and punctuation
ngrams      repeated n-grams                            phrases   lists of words by language
rounding    as Python rounds
minhash     signatures and band keys                   shingles  n-grams of words or of characters
sha1        of many short strings                      components  union-find and candidate pairs
percent     percent-encoding in addresses
langid      language of a document                     traits    digits, marks and the sets of published rules
landmarks   line breaks, phrases, links, sentence ends lines     lines as `str.splitlines` has them
segment     words by a declared rule                   sharing   what operators derive from a batch, kept
c4, fineweb, dolma, refinedweb, datajuicer, code       what the rules of these systems look at
repetition  n-grams, lines, paragraphs that repeat     characters, statistics, shares   counts, entropy, ratios
editing     texts made of some of their lines           cutting   texts with some stretches cut out
units, runs, repeats   lines, sentences and runs of tokens that repeat across a corpus
web_archive records of WARC and WET                     html     tags and their depth
pii, pii_rules, pii_addresses, pii_keys, pii_numbers   personal data and secrets
"""
