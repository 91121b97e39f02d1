"""Converts Meta's E2E weights without executing code in their files."""
