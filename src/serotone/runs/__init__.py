"""The folder of a run: what lies where (``layout.py``), its one writer and its one reader, and its summary.

Training writes it, reports read it, and neither knows a file's name. It needs numpy and nothing else.
"""
