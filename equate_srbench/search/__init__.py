"""The order of a fit: columns, proposals, edits, shortening, choice."""
