//! The world of handlers as generated from its WIT text. Host calls are asynchronous for the guest's stack alone: see
//! [`crate::relay`].

wasmtime::component::bindgen!({
    world: "handler",
    path: "../vettid-handler/wit",
    imports: { default: async },
    exports: { default: async },
});
