//! Clients in other languages. Each runs where its language and its packages can be had, and is skipped elsewhere.
