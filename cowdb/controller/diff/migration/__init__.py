"""From two schemas to the statements that turn the first into the second.

`facts.read_facts` reads what a comparison does not need but a migration does: dependencies and a
few full definitions. `plan.plan` is pure: facts of both sides in, ordered statements out.
`script.render` prints them.
"""
