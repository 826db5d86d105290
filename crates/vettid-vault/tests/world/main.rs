//! Vaults of two members, their apps and a service in one process: no network, no clock, seeded randomness, and a post
//! office that loses, repeats, reorders and crashes. What must hold is asked of the real vault manager.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod agreements;
mod app;
mod attacks;
mod authenticators;
mod authorisations;
mod bad_input;
mod batches;
mod borders;
mod calls;
mod commits;
mod contacts;
mod contracts;
mod credential;
mod enforcement;
mod feed;
mod files;
mod flows;
mod keys;
mod late;
mod letters;
mod limits;
mod locations;
mod logins;
mod messages;
mod node;
mod once;
mod profiles;
mod put_back;
mod quarantine;
mod race;
mod random_runs;
mod recovery;
mod renewal;
mod restore;
mod rotation;
mod rules;
mod service_messages;
mod shop;
mod signing_keys;
mod statements;
mod stored;
mod town;
mod trials;
mod wallet;
