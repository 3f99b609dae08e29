//! A reusable extension API server that records every request.
