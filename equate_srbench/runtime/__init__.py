"""What every part stands on: time, devices, memory, processes, files, and the terminal."""
