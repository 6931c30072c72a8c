"""Pure arrays in, arrays out: the compiled inner loops over Arrow buffers. Importing this imports nothing heavy.

How kernels are made
    jit        compiles them and caches the code       bits, masks  operations on bits, comparisons of 64 bytes
    kept       arrays that later processes map         sharing      what operators derive of a batch, kept
    sorting    radix sort                              sets, mixing, rounding, shares

Text
    unicode    tables of Unicode 15.0                  traits       digits, marks and the sets of published rules
    text       bytes: code points, words, lines        lexer        words, lines, sentences, hashes; shared
    folding    lower case and NFD over bytes           segment      words by a declared rule
    word_forms, normal, wordpunct, word_counts         what words are, and what several families count in them
    lines      as `str.splitlines` has them            landmarks    line breaks, phrases, links, sentence ends
    editing    texts made of some of their lines       cutting      texts with some stretches cut out
    spans      texts from spans of bytes               one_line     documents as lines, as fastText reads them
    html       tags and their depth
    web_archive, json_lines, percent                   records of WARC, WET and JSON, addresses

Quality signals
    gopher, redpajama, c4, fineweb, dolma, refinedweb, datajuicer, code      what these rules look at
    ngrams     repeated n-grams of words               repetition   n-grams, lines, paragraphs that repeat
    phrases    lists of words by language              characters, statistics    counts, entropy
    langid, langid_model, langid_text, scripts         language and script of a document
    pii, pii_rules, pii_addresses, pii_keys, pii_numbers                     personal data and secrets

Duplicates
    hashing, sha1, sha256    of documents and shingles bloom        what was seen before, in few bits
    shingles   n-grams of words or of characters       minhash      signatures and band keys
    components union-find and candidate pairs          contamination    n-grams shared with test sets
    units, runs, repeats     lines, sentences and runs of tokens that repeat across a corpus

Models
    ccnet, vocabulary        text and words as language models have them
    kneser_ney, ngram_counts, ngram_text               estimates, counts and files of n-gram models
    dsir       hashed n-grams, weighed                 vectors      nearest centroids, k-means, near pairs
    quotas     rows in groups
"""
