//! The owner's commands over personal data. The handlers of `vettid_handlers::data` as a component.

handler_guest::component!(vettid_handlers::data::add, [field_read, field_write]);
