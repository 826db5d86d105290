//! Text messages between connected members. The handlers of `vettid_handlers::messaging` as a component.

handler_guest::component!(vettid_handlers::messaging::add, [store, send, feed]);
