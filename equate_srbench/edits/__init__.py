"""The local search beyond the published method: edits, grafts from a library, target views."""
