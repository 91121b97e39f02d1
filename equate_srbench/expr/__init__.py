"""A formula: operator table, immutable tree, vocabularies, parser, printers, evaluation."""
