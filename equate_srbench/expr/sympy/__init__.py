"""SymPy: conversion of trees, and simplification in a child process."""
