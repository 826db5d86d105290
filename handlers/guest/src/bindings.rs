//! The world of handlers as generated from its WIT text.
#![expect(missing_docs, reason = "generated; documented in the WIT text")]

wit_bindgen::generate!({
    world: "handler",
    path: "../../crates/vettid-handler/wit",
    pub_export_macro: true,
    default_bindings_module: "handler_guest::bindings",
});
