"""Which labels are probably wrong: scores, table, report."""
