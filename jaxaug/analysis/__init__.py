"""Finished runs: one table of many, figures of one."""
