"""Results and progress, for people and for programs.

Nothing here imports rich before there is something to draw.
"""
