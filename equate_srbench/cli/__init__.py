"""The command ``equate``: one module per command."""
