//! Which rule of an audit policy applies to a request, and how an event grows through its stages.
