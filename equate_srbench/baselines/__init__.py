"""Rivals behind the same interface."""
