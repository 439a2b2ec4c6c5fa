"""Many recordings to Parquet: in worker processes of this machine, or on a Ray cluster (``serotone score``).

`inputs` finds the recordings. `worker` hears one after another in a process of its own. `pool` and `on_ray` keep many
of those busy. `folder` is where the answers go, and `scoring` joins all of them. It needs the extra ``score``, and
``ray`` for Ray.
"""
