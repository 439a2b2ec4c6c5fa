"""Arrays -> matplotlib figures for a report or a paper; nothing is read from disk, and only `save` writes.

Shares are in [0, 1] and drawn in percent. NaN is a value that does not exist: the figure says so, and never draws it as
0. Colours are those of Okabe and Ito, or one hue from light to dark, and nothing depends on colour alone: markers, line
styles and printed values say it again. The same data give the same bytes.
"""
