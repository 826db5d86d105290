//! The client's ports on this machine: the broker over NATS, services over HTTPS, a sealed file, the clock.

use super::services::HttpServices;
use super::transport::NatsTransport;
use crate::failure::{Exit, Failure};
use std::path::Path;
use vettid_client::clock::SystemClock;
use vettid_client::random::SystemRandom;
use vettid_client::store::file::FileStore;

/// The ports of one app.
#[derive(Debug)]
pub(super) struct Ports {
    store: FileStore,
    random: SystemRandom,
}

impl Ports {
    /// Ports for the app whose state lies in this folder.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let random = SystemRandom::new().map_err(|error| Failure::new(Exit::Other, error))?;
        Ok(Self { store: FileStore::new(folder, random), random })
    }
}

impl vettid_client::app::Ports for Ports {
    type Transport = NatsTransport;
    type Services = HttpServices;
    type Store = FileStore;
    type Clock = SystemClock;

    fn transport(&self) -> &NatsTransport {
        &NatsTransport
    }

    fn services(&self) -> &HttpServices {
        &HttpServices
    }

    fn store(&self) -> &FileStore {
        &self.store
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn random(&self) -> SystemRandom {
        self.random
    }
}
