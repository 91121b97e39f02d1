#!/usr/bin/env bash
# Installs the released package; torch and numba are in environment.yml.
set -e

pip install "equate-srbench>=0.1,<0.2"

# The weights are in the package, so there is nothing to download. To run with other weights, put
# them at /srbench_pretrained/equate.safetensors or /pretrained/equate.safetensors, or name the
# file in the environment variable EQUATE_WEIGHTS.

# Compiles the kernels, which are kept beside the package, checks the weights, and fits a formula.
equate doctor
