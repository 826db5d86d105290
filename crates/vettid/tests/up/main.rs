//! `vettid up` on real processes, looked at from outside: the main job under the eyes of a malicious operator who sees
//! all traffic and all files, and what starts, stops and crashes do. Must never reach into a process.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod agreement;
mod authorisation;
mod badge;
mod call;
mod canary;
mod contacts;
mod contract;
mod credential;
mod disk;
mod examples;
mod files;
mod gateway;
#[expect(dead_code, reason = "these tests only post to services")]
#[path = "../../src/https.rs"]
mod https;
mod letters;
mod location;
mod lock;
mod main_job;
mod memory;
mod openid;
mod operator;
mod party;
mod people;
mod planted;
mod processes;
mod recovery;
mod restart;
mod secrecy;
mod shop;
mod spy;
mod stack;
mod stored;
