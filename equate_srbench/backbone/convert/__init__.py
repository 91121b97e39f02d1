"""Converts Meta's E2E weights without executing anything in their files."""
