//! The sandbox: one engine for all components of a process. It compiles what it is given, so it must be given verified
//! packages only, and it refuses a component that wants more than its manifest says.

use crate::bindings::{Handler as World, HandlerPre};
use crate::component::ComponentHandler;
use crate::imports::Run;
use crate::limits::{Limits, MAX_COMPONENT_BYTES, MAX_MEMORY_BYTES, MAX_TABLE_ELEMENTS};
use crate::ticker::Ticker;
use std::sync::Arc;
use vettid_handler::manifest::HostCall;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Most components that run at the same time.
pub const MAX_RUNNING: u32 = 64;
/// Stack of a component in bytes.
const WASM_STACK_BYTES: usize = 512 * 1024;
/// Stack of a component and of the host functions that it calls, in bytes.
const STACK_BYTES: usize = 1024 * 1024;
/// So much of a memory is zeroed in place after an event; the rest is given back to the system.
const KEPT_BYTES: usize = 256 * 1024;
/// The world that components are written for.
const WORLD: &str = "vettid:handler/";

/// The sandbox cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox for handlers cannot be set up: {0}")]
pub struct SandboxError(String);

/// Why a component is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Too large.
    #[error("the component is larger than {MAX_COMPONENT_BYTES} bytes")]
    TooLarge,
    /// Not a component, or one that needs what the sandbox does not have.
    #[error("not a component that can run here: {0}")]
    Malformed(String),
    /// It imports something outside the world of handlers.
    #[error("the component imports {0}, which no handler gets")]
    ForeignImport(String),
    /// It imports host functions that its manifest does not name.
    #[error("the component imports {0}, which its manifest does not name")]
    Undeclared(HostCall),
    /// It is not a handler of this version of the world.
    #[error("the component does not fit the world of handlers: {0}")]
    OtherWorld(String),
}

/// The engine of a process.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<Run>,
    ticker: Arc<Ticker>,
}

impl Sandbox {
    /// Sets up the engine and its clock.
    pub fn new() -> Result<Self, SandboxError> {
        let failed = |error: &dyn std::fmt::Display| SandboxError(error.to_string());
        let engine = Engine::new(&config()).map_err(|error| failed(&error))?;
        let mut linker = Linker::new(&engine);
        World::add_to_linker::<_, HasSelf<_>>(&mut linker, |run| run).map_err(|error| failed(&error))?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| failed(&error))?;
        Ok(Self { engine, linker, ticker: Arc::new(ticker) })
    }

    /// Compiles a component that may call `host_calls`, to be run within `limits`.
    pub fn load(&self, bytes: &[u8], host_calls: &[HostCall], limits: Limits) -> Result<ComponentHandler, LoadError> {
        if bytes.len() > MAX_COMPONENT_BYTES {
            return Err(LoadError::TooLarge);
        }
        let malformed = |error: wasmtime::Error| LoadError::Malformed(format!("{error:#}"));
        let other_world = |error: wasmtime::Error| LoadError::OtherWorld(format!("{error:#}"));
        let component = Component::from_binary(&self.engine, bytes).map_err(malformed)?;
        let imported = imported(&component, &self.engine)?;
        if let Some(call) = imported.iter().find(|call| !host_calls.contains(call)) {
            return Err(LoadError::Undeclared(*call));
        }
        let instance = self.linker.instantiate_pre(&component).map_err(other_world)?;
        let handler = HandlerPre::new(instance).map_err(other_world)?;
        Ok(ComponentHandler::new(handler, imported, limits, Arc::clone(&self.ticker)))
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sandbox")
    }
}

fn imported(component: &Component, engine: &Engine) -> Result<Vec<HostCall>, LoadError> {
    let component_type = component.component_type();
    let names = component_type.imports(engine).map(|(name, _)| name);
    names.filter_map(|name| host_call(name).transpose()).collect()
}

/// The group that an import stands for; `None` for the interface that only holds types.
fn host_call(import: &str) -> Result<Option<HostCall>, LoadError> {
    let foreign = || LoadError::ForeignImport(import.to_owned());
    let (interface, _) = import.strip_prefix(WORLD).and_then(|rest| rest.split_once('@')).ok_or_else(foreign)?;
    match interface {
        "exchange" => Ok(None),
        other => other.parse().map(Some).map_err(|_| foreign()),
    }
}

/// Nothing that differs between two machines, nothing shared between two runs.
fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MAX_RUNNING)
        .total_stacks(MAX_RUNNING)
        .total_memories(MAX_RUNNING)
        .total_core_instances(MAX_RUNNING * 8)
        .total_tables(MAX_RUNNING * 4)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memories_per_component(4)
        .max_tables_per_component(8)
        .max_core_instances_per_component(MAX_RUNNING)
        .max_memory_size(MAX_MEMORY_BYTES)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(KEPT_BYTES);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(MAX_MEMORY_BYTES as u64)
        .epoch_interruption(true)
        .consume_fuel(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(STACK_BYTES)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false);
    config
}
