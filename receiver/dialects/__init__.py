"""Dialects: what a producer's records mean, in the words of receiver.events. Pure: records in, events out.

A producer's quirks live in its dialect and nowhere else. To add one: write its file, add its row to the table in
dialects/table.py, and test it.
"""
