"""The measurement: runs a load next to the in-process baseline, watches the machine, and sums up a row.

Statistics may change without a look elsewhere; a new field of `row.Row` also belongs into `reports/tables`.
"""
