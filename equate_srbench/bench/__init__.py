"""Many fits of many methods on many data sets, kept as rows."""
