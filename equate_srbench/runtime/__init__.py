"""Shared utilities: clock, device, memory, threads, child processes, files, terminal."""
