"""Dialects turn a producer's records into the events of receiver.events. Pure: records in, events out.

A producer's quirks are known to its dialect and nothing else. To add a dialect:

1. write its file, in its agent's folder (a new agent gets a folder, and a name in .importlinter's dialect contract);
2. add its row to the table in dialects/table.py;
3. add its tests to the same folder of tests/dialects (test_table.py checks that they are there).
"""
