//! Effects on foreign systems: each step's claim is committed, with a new fence, before anything is sent.
