//! The vault manager and the host that runs many of them. A vault opens what was sealed for it, checks it against what
//! its owner agreed to, acts, and answers. It has no open port; what it holds leaves it only sealed.

pub mod app;
pub mod audit;
pub mod bootstrap;
pub mod channels;
pub mod connection;
pub mod credential;
pub mod establish;
pub mod expiry;
pub mod failure;
pub mod feed;
pub mod field;
pub mod handler_host;
pub mod host;
pub mod identity;
pub mod lock;
pub mod manager;
pub mod mark;
pub mod outbox;
pub mod owner;
pub mod pause;
pub mod peer;
pub mod profile;
pub mod projection;
pub mod quarantine;
pub mod receive;
pub mod request;
pub mod revocation;
pub mod rule;
pub mod sealed_journal;
pub mod send;
pub mod step;
pub mod view;
