"""Instructions and the calls that a person means by them, to judge the offline planner by.

`tuned.json` is for whoever works on the planner. `held_apart.json` is not to be read while doing
so: it only tells how well the planner does on words that nobody fitted it to. They were written
together from what users say, before anybody saw how the planner reads, and then split at random,
kind by kind. `no_side_effects.json` mentions remembering, scheduling and deleting, and asks for
none of it.

A row is one line: `say` is the instruction, `calls` the expected calls in order, each with the
result it `gives` (a planned step may need it), `or` another right order of calls. No calls means
that declining is right. A value may be `{"one_of": [...]}` where several are equally right, or
`{"with_words": "..."}` for a text that holds these words. The clock stands at CLOCK_AT, a Tuesday.
"""
