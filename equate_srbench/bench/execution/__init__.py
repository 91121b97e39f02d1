"""Where fits run: local processes, Dask, SLURM; each fit isolated with limits."""
