"""Deciding on what is annotated already: other rules (`decide`), other bounds (`what_if`), two runs (`diff`)."""
