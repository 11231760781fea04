"""Words: the BM25 index, how texts and queries become terms, synonyms and completions."""
