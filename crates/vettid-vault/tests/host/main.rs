//! The host on the real nats-server: a killed broker, a vault that comes back from an earlier state, a second host for the same vault, poison, and vaults that are broken.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../world/app.rs"]
mod app;
mod away;
mod broken;
mod desk;
mod fallen;
mod killed;
mod lock;
mod mailbox;
#[path = "../world/node.rs"]
#[expect(dead_code, reason = "the pure world uses more of it")]
mod node;
mod older_records;
mod owner;
mod poison;
mod put_back;
#[path = "../world/shop.rs"]
#[expect(dead_code, reason = "the pure world uses more of it")]
mod shop;
#[path = "../world/town.rs"]
#[expect(dead_code, reason = "the pure world uses more of it")]
mod town;
mod two_hosts;
