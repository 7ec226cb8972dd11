"""The studio: a page on which the people who answer for a policy see what it does, before others feel it.

`workshop` opens what stands in the editor beside one loaded model, `watching` tells an answer while it is decoded,
`endpoints` is what the page asks, `app` the page itself, behind a secret in its address.
"""
