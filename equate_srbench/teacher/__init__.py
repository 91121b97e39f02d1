"""Networks with a penalised gradient, which teach a student smoother labels than the data's."""
