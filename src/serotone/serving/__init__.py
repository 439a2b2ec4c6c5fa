"""A server of recognisers over HTTP and WebSocket (extra ``serve``), and the page that uses it.

`app.make_app` composes it. What comes from outside is bounded before it is used: `guard` decides who may ask and how
much may be sent, `decoding` hears uploads in child processes, `pool` bounds what waits to be answered.
"""
